"""A model that computes in floats as a codec: encoder and decoder run the same compiled step.

n frames, C channels, L samples in a chunk, R rows.
"""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from codec.coder import MOST_PER_BYTE
from codec.fields import Fields
from codec.neural.frequencies import decode_rows, encode_rows, make_mixture, room
from codec.neural.rows import Layout, find_groups
from codec.neural.step import CompiledStep
from codec.range_coder import CODER, SLACK, finish, init_encoder, start_decoder
from models.interface import DEFAULT_SEGMENT, Advance, Params, StepModel, no_advance

_ROWS = {"cpu": 16}  # At once, for the sake of speed, and
_MOST_ROWS = 256  # on accelerators; but no more than have their caches in
_CACHE_BYTES = {"cpu": 2**29}
_MOST_CACHE_BYTES = 2**32
_GROUPS = 8  # In a segment: the last one is seldom full.

Code = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], None]


class NeuralCoder:
    """Codes the channels of segments; see `codec.coder.Coder`.

    All rows share one range coder: an end of its own would cost each some bytes.
    """

    def __init__(self, model: StepModel, params: Params, layout: Layout) -> None:
        """Makes a coder; nothing is compiled before it is needed.

        Args:
          model: the model.
          params: its parameters.
          layout: of the chunks that it was trained on.
        """
        self._model, self._params, self._layout = model, params, layout
        self._lock = threading.Lock()
        self._ready: tuple[CompiledStep, bytes] | None = None
        self.depth = model.config.depth
        self._rows = count_rows(model, layout.chunk_size)
        frames = _GROUPS * self._rows * layout.chunk_size
        self.segment = min(frames, DEFAULT_SEGMENT)

    @property
    def made_with(self) -> str:
        """What the floats depend on, as far as it has a name."""
        return f"JAX {jax.__version__} on {self._model.platform}"

    @property
    def probe(self) -> bytes:
        """A hash of what is computed here; where it is another one, nothing can be decoded."""
        return self._compiled()[1]

    def _compiled(self) -> tuple[CompiledStep, bytes]:
        """Returns the step and its probe; compiles it at the first call."""
        with self._lock:  # Segments are coded in threads.
            if self._ready is None:
                length = self._layout.chunk_size
                step = CompiledStep(self._model, self._params, self._rows, length)
                self._ready = step, step.probe()
            return self._ready

    def encode(
        self,
        samples: np.ndarray,  # int32 [C, n]
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> tuple[int, bytes]:
        """Returns 0, no flags, and the code of all channels. JAX has threads of its own."""
        coder, data = init_encoder(), _Growing()

        def code(outputs: np.ndarray, bases: np.ndarray, count: np.ndarray, row: Any) -> None:
            encode_rows(self._mixture(outputs), outputs, bases, count, row, coder[0], data.array)
            data.reserve(int(coder[0]["position"]) + room(self._rows))

        data.reserve(room(self._rows))
        self._run(samples.copy(), code)
        data.reserve(int(coder[0]["position"]) + SLACK)
        finish(coder[0], data.array)
        code_bytes = data.array[: coder[0]["position"]].tobytes()
        return 0, code_bytes.ljust(samples.size // MOST_PER_BYTE, b"\0")

    def decode(
        self,
        flags: int,
        fields: Fields,
        channels: int,
        frames: int,
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> Iterator[np.ndarray]:
        """Yields the channels, int32 [C, n], at once: rows from all over them are decoded first."""
        coder, data = np.zeros(1, CODER), np.frombuffer(fields.rest(), np.uint8)
        start_decoder(coder[0], data)

        def code(outputs: np.ndarray, bases: np.ndarray, count: np.ndarray, row: Any) -> None:
            decode_rows(self._mixture(outputs), outputs, bases, count, row, coder[0], data)

        samples = np.zeros((channels, frames), np.int32)
        self._run(samples, code)
        yield samples

    def _mixture(self, outputs: np.ndarray) -> Any:
        return make_mixture(outputs.shape[1] // 3, self.depth)

    def _run(self, samples: np.ndarray, code: Code) -> None:
        """Goes through all samples, group by group, and has each set of rows coded.

        Args:
          samples: int32 [C, n], contiguous; what `code` makes of them is written back.
          code: from outputs, bases, which rows count, and their samples, which it may write.
        """
        step, _ = self._compiled()
        channels, frames = samples.shape
        flat = samples.reshape(-1)
        for batch, chunks in find_groups(self._layout, channels, frames, self._rows):
            rows, caches = self._model.init_rows(batch), step.begin()
            order = [places[own] for places, own in zip(chunks, rows.order, strict=True)]
            sizes = np.array([places.size for places in order])
            table = np.zeros((len(order), max(sizes)), np.int64)
            for number, places in enumerate(order):
                table[number, : places.size] = places
            for position in range(max(sizes)):
                inputs, bases = rows.predict()
                outputs, caches = step(inputs, caches, position)
                count = position < sizes
                following = np.where(count, flat[table[:, position]], 0).astype(np.int32)
                code(outputs, bases, count, following)
                flat[table[count, position]] = following[count]
                rows.update(following)


class _Growing:
    """Bytes, and room for more."""

    def __init__(self) -> None:
        self.array = np.zeros(2**16, np.uint8)

    def reserve(self, size: int) -> None:
        if size > self.array.size:
            more = np.zeros(max(size, 2 * self.array.size) - self.array.size, np.uint8)
            self.array = np.concatenate([self.array, more])


def count_rows(model: StepModel, length: int) -> int:
    """Returns R for chunks of a length."""
    shapes = jax.eval_shape(lambda: model.init_caches(1, length))
    entries = jax.tree.leaves(shapes)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in entries)
    most = _CACHE_BYTES.get(model.platform, _MOST_CACHE_BYTES) // size
    return max(1, min(_ROWS.get(model.platform, _MOST_ROWS), most))
