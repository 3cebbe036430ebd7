"""Features of the last batches, from which each step draws samples at random (a replay buffer).

A chunk is thousands of neighbouring samples, much alike; a step learns more from as many samples of
all kinds. And features are expensive, steps are cheap: each sample serves several steps.

What a step draws is a pure function of (seed, step, row of the batch), so training may resume at
any step, and does not depend on how many hosts share the rows. At step t the pool holds the batches
[m(t) - C, m(t)), with m(t) = C + floor(t * samples of a step / (reuse * samples of a batch)).

C batches in the pool, D local devices, F features, L chunk size, R rows of this host, n samples
that a step draws from a row.
"""

import dataclasses
import math
from collections.abc import Mapping

import jax
import numpy as np

from pipeline.shuffle import hash_key
from runtime.devices import available_memory
from runtime.errors import ResourceError
from runtime.formatting import format_row
from runtime.logging import logger
from training.config import RunConfig
from training.step import DeviceBatch

_MUCH_PADDING = 0.2  # Share of the chunks.
_DRAWS = 0x506F6F6C  # Of all keys made from the seed, those of draws.


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolSchedule:
    """Which batches the pool holds at which step.

    Attributes:
      num_batches: C.
      samples_per_step: drawn, over all hosts.
      batch_samples: samples of a batch of chunks, padding included.
      reuse: how often a sample is drawn, on average; None: the pool holds the whole corpus, and
        stays as it is.
    """

    num_batches: int
    samples_per_step: int
    batch_samples: int
    reuse: int | None

    def batches(self, step: int) -> range:
        """Returns the numbers of the batches in the pool at a step."""
        drawn = step * self.samples_per_step
        first = 0 if self.reuse is None else drawn // (self.reuse * self.batch_samples)
        return range(first, first + self.num_batches)

    def describe(self, padding: float) -> str:
        """Returns what it does, for the log.

        Args:
          padding: share of the chunks that is padding, which is never drawn.
        """
        held = f"{round(self.num_batches * self.batch_samples * (1 - padding)):,} samples"
        draws = f"a step draws {self.samples_per_step:,}"
        if self.reuse is None:
            return f"{held}, the whole corpus; {draws} at random"
        steps = self.reuse * self.batch_samples / self.samples_per_step
        times = f"{self.reuse / (1 - padding):.0f} times"
        if padding > _MUCH_PADDING:
            times += f" ({padding:.0%} of the chunks is padding: a smaller --chunk_size reads more)"
        return (
            f"{held} of the last {self.num_batches} batches; {draws} at random, so each {times}, "
            f"and a batch is read every {steps:,.1f} steps"
        )


def make_schedule(config: RunConfig, num_chunks: int) -> PoolSchedule | None:
    """Returns the schedule of a run; None if it trains on whole chunks.

    Args:
      config: the run.
      num_chunks: training chunks of its corpus.
    """
    if config.pool is None:
        return None
    pipeline = config.pipeline
    batch_samples = pipeline.batch_size * pipeline.chunk_size
    wanted = -(-config.pool.feature_pool // batch_samples)
    epoch = -(-num_chunks // pipeline.batch_size)
    # What is changed at random differs from epoch to epoch: there is always more to read.
    fits = wanted >= epoch and not config.augmentation.enabled
    return PoolSchedule(
        num_batches=epoch if fits else wanted,
        samples_per_step=config.pool.samples_per_step,
        batch_samples=batch_samples,
        reuse=None if fits else config.pool.feature_reuse,
    )


def drawn_shapes(batch: DeviceBatch, samples_per_row: int) -> DeviceBatch:
    """Returns the shapes of what `FeaturePool.draw` returns, given a batch [D, R / D, ...]."""
    samples = batch["first"].shape[0], batch["first"].shape[1] * samples_per_row

    def drawn(array: np.ndarray) -> jax.ShapeDtypeStruct:
        values = array.shape[3:]
        return jax.ShapeDtypeStruct((*samples, 1, *values), np.float32 if values else array.dtype)

    bounds = jax.ShapeDtypeStruct(samples, np.int32)
    inputs = {name: drawn(array) for name, array in batch["inputs"].items()}
    return {"inputs": inputs, "first": bounds, "stop": bounds}


class FeaturePool:
    """The features of C batches, and the draws from them. Its memory is allocated once."""

    def __init__(
        self,
        num_batches: int,
        samples_per_row: int,
        *,
        seed: int,
        rows: tuple[int, int],
        num_devices: int = 1,
    ) -> None:
        """Makes an empty pool.

        Args:
          num_batches: C.
          samples_per_row: n.
          seed: random seed of the draws.
          rows: the rows [first, last) of the global batch that this host reads.
          num_devices: D.
        """
        self._num_batches, self._draws, self._seed = num_batches, samples_per_row, seed
        self._rows, self._num_devices = np.arange(*rows), num_devices
        self._kept: dict[str, np.ndarray] = {}  # [R, C, L, ...] each
        self._first = np.zeros((self._rows.size, num_batches), np.int64)
        self._stop = np.zeros_like(self._first)

    def add(self, number: int, batch: DeviceBatch) -> None:
        """Puts a batch in the place of the one C batches before it.

        Args:
          number: of the batch, from the beginning of the run: a pool that was filled up anew must
            have each batch in the same place.
          batch: each array [D, R / D, ...].

        Raises:
          ResourceError: this machine has not enough memory.
        """
        place = number % self._num_batches
        inputs = {name: _merge_devices(array) for name, array in batch["inputs"].items()}
        if not self._kept:
            self._allocate(inputs)
        for name, array in inputs.items():
            self._kept[name][:, place] = array
        self._first[:, place] = _merge_devices(batch["first"])
        self._stop[:, place] = _merge_devices(batch["stop"])

    def draw(self, step: int) -> DeviceBatch:
        """Returns what a step trains on: rows of one sample, [D, R / D * n, 1, ...].

        Each is drawn uniformly, with replacement, from the scored samples of a row. Where a row has
        none, what is returned in their place is not scored.
        """
        key = hash_key(0, self._seed, self._seed >> 32, _DRAWS, step, self._rows[:, np.newaxis])
        random = hash_key(key, np.arange(self._draws))  # 32 bits
        counts = np.maximum(self._stop - self._first, 0)
        ends = np.cumsum(counts, 1)
        index = random * ends[:, -1:] >> 32
        batch = np.stack(
            [np.searchsorted(*row, side="right") for row in zip(ends, index, strict=True)]
        )
        is_scored = ends[:, -1:] > index
        batch = np.where(is_scored, batch, 0)
        row = np.arange(self._rows.size)[:, np.newaxis]
        offset = np.where(
            is_scored, self._first[row, batch] + index - (ends - counts)[row, batch], 0
        )
        place = row * self._num_batches + batch
        stop = is_scored.astype(np.int32)
        return {
            "inputs": {
                name: self._split(_take(array, place, offset)) for name, array in self._kept.items()
            },
            "first": self._split(np.zeros_like(stop)),
            "stop": self._split(stop),
        }

    def _allocate(self, inputs: Mapping[str, np.ndarray]) -> None:
        shapes = {
            name: (array.shape[0], self._num_batches, *array.shape[1:])
            for name, array in inputs.items()
        }
        types = {name: _kept_dtype(array) for name, array in inputs.items()}
        needed = sum(math.prod(shapes[name]) * types[name].itemsize for name in inputs)
        if needed > (available := available_memory()):
            raise ResourceError(
                f"a pool of {self._num_batches} batches needs {needed / 2**30:,.1f} GiB, and this "
                f"machine has {available / 2**30:,.1f} GiB: expected a smaller --feature_pool"
            )
        text = f"takes {needed / 2**20:,.0f} MiB; the first step waits until it is filled"
        logger.info("%s", format_row("feature pool", text))
        self._kept = {name: np.zeros(shapes[name], types[name]) for name in inputs}

    def _split(self, array: np.ndarray) -> np.ndarray:  # [R, n, ...] -> [D, R / D * n, ...]
        return array.reshape(self._num_devices, -1, *array.shape[2:])


def _merge_devices(array: np.ndarray) -> np.ndarray:  # [D, R / D, ...] -> [R, ...]
    return array.reshape(-1, *array.shape[2:])


def _kept_dtype(array: np.ndarray) -> np.dtype:
    """Returns float16 for features [R, L, F], which are most of the memory and are limited."""
    return np.dtype(np.float16) if array.ndim > 2 else array.dtype


def _take(
    array: np.ndarray,  # [R, C, L, ...]
    place: np.ndarray,  # int64 [R, n], of a chunk
    offset: np.ndarray,  # int64 [R, n], in it
) -> np.ndarray:  # [R, n, 1, ...]
    length, values = array.shape[2], array.shape[3:]
    taken = array.reshape(-1, *values)[place * length + offset]
    taken = taken.astype(np.float32) if values else taken
    return taken.reshape(*place.shape, 1, *values)
