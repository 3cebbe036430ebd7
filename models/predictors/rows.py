"""The predictors of chunks sample by sample, as a decoder must: `extract.extract` knows them all.

B chunks, L samples in a chunk, K experts and combinations, F features.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.interface import Inputs
from models.predictors.bank import (
    Bank,
    init_bank,
    know_first,
    know_next,
    predict,
    require_denormals,
    show,
    update,
)
from models.predictors.channels import channel_indices
from models.predictors.compile import jit
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.extract import count_experts, count_features
from models.predictors.features import extract_features, init_features, update_features
from models.predictors.memory import Allocator


class AdaptiveRows:
    """Chunks side by side, see `interface.StepRows`, channel by channel."""

    def __init__(
        self, config: AdaptivePredictorsConfig, depth: int, places: Sequence[Sequence[int]]
    ) -> None:
        """Begins chunks.

        Args:
          config: the predictors.
          depth: bits per sample.
          places: the arguments of `channel_indices` for each chunk.
        """
        self._rows = [_Row(config, depth, place) for place in places]
        self.order = [row.order for row in self._rows]
        self._num_features = count_features(config)
        self._position = 0

    def predict(self) -> tuple[Inputs, np.ndarray]:
        count = len(self._rows)
        features = np.zeros((count, self._num_features), np.float32)
        scale, base = np.ones(count, np.float32), np.zeros(count)
        for number, row in enumerate(self._rows):
            if self._position < row.order.size:
                base[number], scale[number] = row.predict(self._position, features[number])
        return {"features": features, "scale": scale}, base

    def update(self, samples: np.ndarray) -> None:  # int32 [B]
        for row, sample in zip(self._rows, samples, strict=True):
            if self._position < row.order.size:
                row.update(self._position, sample)
        self._position += 1


class _Row:
    """One chunk: the predictors of one channel after the other."""

    def __init__(self, config: AdaptivePredictorsConfig, depth: int, place: Sequence[int]) -> None:
        self._config, self._depth = config, depth
        channels = list(channel_indices(*place))
        none = np.zeros(0, np.int64)
        self.order = np.concatenate([none, *(own for own, _ in channels)])
        starts = np.cumsum([0, *(own.size for own, _ in channels)]).tolist()
        self._others = dict(zip(starts, (other for _, other in channels), strict=False))
        self._samples = np.zeros(self.order.size, np.int32)

    def predict(self, position: int, features: np.ndarray) -> tuple[float, float]:
        if position in self._others:
            self._begin(position)
        result: tuple[float, float] = _predict(
            self._bank, self._other, position - self._start, self._offsets, *self._memory, features
        )
        self._base = result[0]
        return result

    def update(self, position: int, sample: int) -> None:
        self._samples[self.order[position]] = sample
        _update(self._bank, self._offsets, *self._memory, self._base, float(sample))

    def _begin(self, position: int) -> None:
        """Begins a channel; the one before it is known."""
        self._start, self._other = position, self._samples[self._others[position]]
        self._bank = init_bank(self._config, self._depth, stereo=self._other.size > 0)
        require_denormals(self._bank)
        know_first(self._bank, self._other)
        experts, allocator = count_experts(self._config), Allocator()
        record = init_features(experts, allocator)[0]
        self._memory = record, allocator.allocate().doubles
        self._offsets = np.zeros(experts, np.float32)


@jit
def _predict(
    bank: Bank,
    other: np.ndarray,  # int32 [n], or [0]
    time: int,
    offsets: np.ndarray,  # float32 [K]
    record: Any,
    doubles: np.ndarray,
    features: np.ndarray,  # float32 [F]
) -> tuple[float, float]:
    """Writes the features of the next sample; returns the base and the scale."""
    know_next(bank, other, time)
    base = predict(bank)
    show(bank, base, offsets)
    return base, extract_features(record, doubles, offsets, base, base, features)


@jit
def _update(
    bank: Bank,
    offsets: np.ndarray,  # float32 [K]
    record: Any,
    doubles: np.ndarray,
    base: float,
    sample: float,
) -> None:
    update_features(record, doubles, offsets, base, base, sample)
    update(bank, sample)
