"""What training and evaluation know of a model.

Outside `models/` there are only samples: signed integers of a stated depth, and how many of them
are scored. How a model names them (symbols, bytes, amplitudes), and what its distribution is, stays
behind this interface.

B rows of a batch (any leading axes, on the host), L samples in a chunk.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import jax

Batch = Mapping[str, np.ndarray]
"""Chunks of audio, as `pipeline.dataset.make_dataset` makes them.

`samples` is signed integers [B, L]. In each row those at [first, stop) are scored, and what comes
before is context; `first` and `stop` are int32 [B]. `channels` is the number of channels of the
row's file, `channel` and `position` the channel and the place in the file's stream of its first
sample: int32 [B], int32 [B] and int64 [B].
"""

Inputs = Mapping[str, Any]
"""What a model reads of a batch: arrays [B, ...] by name."""

Params = Any
"""A pytree of arrays."""


class Model(Protocol):
    """A distribution over each sample of a chunk, given those before it."""

    @property
    def config(self) -> Any:
        """A frozen dataclass of all that decides what is computed; its `depth` is in bits."""

    def prepare(self, batch: Batch) -> Inputs:
        """Returns what the model reads: on the host, a pure function of the batch alone."""

    def init(self, key: "jax.Array") -> Params:
        """Returns fresh parameters."""

    def log_likelihood(self, params: Params, inputs: Inputs) -> "jax.Array":
        """Returns the log-probability of each sample in nats, float32 [B, L].

        It is per sample, however many symbols the model makes of one.
        """

    def cost_parts(self, params: Params, inputs: Inputs) -> "dict[str, jax.Array]":
        """Returns the nats of each sample's parts, float32 [B, L] each, by the part's name.

        Their sum is the cost, the negative log-likelihood. A model that knows no parts returns one.
        """
