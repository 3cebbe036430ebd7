"""What training and evaluation know about a model.

Outside `models/` there are only samples: signed integers of a given depth, and which of them are
scored. How a model represents them (symbols, bytes, amplitudes), and what its distribution is,
stays behind this interface.

B chunks in a batch (on the host, any leading axes), L samples in a chunk.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    import jax

    from models.distributions.mixture import Mixture

Batch = Mapping[str, np.ndarray]
"""Chunks of audio, as `pipeline.dataset.make_dataset` makes them.

- `samples`: signed integers [B, L].
- `first`, `stop`: int32 [B]; the samples at [first, stop) are scored, those before are context.
  `stop` is -1 for a chunk that could not be read.
- `channels`: int32 [B], channels in the stream that the chunk comes from.
- `channel`: int32 [B], channel of the chunk's first sample.
- `position`: int64 [B], index of the chunk's first sample in that stream.
- `frames`: int64 [B], frames of the file.
- `block`: int32 [B], samples of one channel in a block of the stream, see
  `runtime.stereo_blocks`.
"""

Inputs = Mapping[str, Any]
"""What a model reads from a batch, arrays [B, ...] by name."""

Params = Any
"""A pytree of arrays."""


class Model(Protocol):
    """A distribution over each sample of a chunk, conditioned on the samples before it."""

    @property
    def config(self) -> Any:
        """A frozen dataclass of everything that decides what is computed; `depth` is in bits."""

    def prepare(self, batch: Batch) -> Inputs:
        """Returns the inputs of the model: on the host, a pure function of the batch."""

    def init(self, key: "jax.Array") -> Params:
        """Returns initial parameters."""

    def microbatch_size(self, inputs: Inputs) -> int | None:
        """Returns how many chunks to compute at once, of inputs [B, ...]; None: all.

        Training and evaluation give the functions below no more; see `models.microbatches`.
        """

    def log_likelihood(self, params: Params, inputs: Inputs) -> "jax.Array":
        """Returns the log-probability of each sample in nats, float32 [B, L].

        Per audio sample, however many symbols the model codes it with. Traced under pmap and grad.
        """

    def cost_parts(self, params: Params, inputs: Inputs) -> "dict[str, jax.Array]":
        """Returns the negative log-likelihood split into named parts, in nats, float32 [B, L] each.

        Their sum is the cost of a sample. A model that does not split it returns one part.
        """


DEFAULT_SEGMENT = 2**22
"""Frames of a segment where nobody says otherwise, 95 s of 44.1 kHz.

In longer ones music comes back to what it was more often
(docs/explanation/experiments_long_term.md); they take more memory, and a part of a file is decoded
from the beginning of its segment."""

Advance = Callable[[int, float], None]
"""Is told of samples, of any channels, that are done, and of the bits that they take."""


def no_advance(samples: int, bits: float) -> None:
    """An `Advance` that tells nobody."""


@runtime_checkable
class SegmentModel(Model, Protocol):
    """A model that also goes through whole segments of files, as a codec will."""

    def segment_costs(self, params: Params, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Returns what the samples of a segment cost, in nats, float32 [n, C] each, by part.

        On the host and exactly: the same on every machine. What the segment costs as a whole, such
        as side information, is a part of its own, in equal shares of all samples.

        Args:
          params: the parameters.
          frames: signed integers [n, C]; the segment knows of nothing before it.
        """


class StepRows(Protocol):
    """Chunks side by side, sample by sample, on the host; a row each.

    For each position of the longest: `predict`, then `update`.

    Attributes:
      order: of each row, the places in the chunk of its samples, in the order of coding.
    """

    order: list[np.ndarray]

    def predict(self) -> tuple[Inputs, np.ndarray]:
        """Returns the inputs of `StepModel.step`, and the base of each row, float64 [B]."""

    def update(self, samples: np.ndarray) -> None:
        """Learns the samples that were next, int32 [B]; of a row that has ended, any number."""


@runtime_checkable
class StepModel(Model, Protocol):
    """A model that also goes through chunks sample by sample, as a decoder must.

    In floats: to the last bit its results depend on the machine, on what compiles it, and on B.
    """

    platform: str

    def init_rows(self, batch: Batch) -> StepRows:
        """Returns the rows of some chunks before their first samples.

        Args:
          batch: without `samples`, which nobody knows yet; those before `stop` come.
        """

    def init_caches(self, batch: int, length: int) -> Any:
        """Returns the caches, see `networks.cache`, for so many chunks of so many samples."""

    def step_params(self, params: Params) -> Params:
        """Returns the parameters as `step` reads them."""

    def step(
        self, params: Params, inputs: Inputs, caches: Any, position: "jax.Array"
    ) -> "tuple[Mixture, Any]":
        """Returns the distribution of the next sample of each chunk, and what the caches now hold.

        Args:
          params: from `step_params`.
          inputs: from `StepRows.predict`.
          caches: of the positions before this one.
          position: int32, in the chunk, of all rows.

        Returns:
          The mixture, [B, M]; the `filling` of each cache.
        """
