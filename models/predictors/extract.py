"""From a stretch of one channel to what the network reads of it.

n samples, F features.
"""

from typing import NamedTuple

import numpy as np

from models.predictors.bank import init_bank, run
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.features import init_features, num_features, run_features
from models.predictors.memory import Allocator


class Extracted(NamedTuple):
    """What is known before each sample.

    Attributes:
      features: float32 [n, F].
      base: the prediction, float64 [n].
      scale: its recent mean absolute error, float64 [n].
    """

    features: np.ndarray
    base: np.ndarray
    scale: np.ndarray


def count_features(config: AdaptivePredictorsConfig) -> int:
    """Returns F."""
    return num_features(count_experts(config))


def extract(
    config: AdaptivePredictorsConfig,
    depth: int,
    samples: np.ndarray,  # signed integers [n]
    other: np.ndarray | None = None,  # signed integers [n or more]
) -> Extracted:
    """Runs the predictors over a stretch, beginning anew; in one thread, without Python's lock.

    Args:
      config: the predictors.
      depth: bits per sample.
      samples: of one channel.
      other: those of another channel, from the same frame on.
    """
    count = samples.size
    samples = np.ascontiguousarray(samples, np.int32)
    other = np.zeros(0, np.int32) if other is None else np.ascontiguousarray(other, np.int32)
    offsets = np.empty((count, count_experts(config)), np.float32)
    base, scale = np.empty(count), np.empty(count)
    run(init_bank(config, depth, stereo=other.size > 0), samples, other, 0, offsets, base)

    allocator = Allocator()
    record = init_features(offsets.shape[1], allocator)[0]
    doubles = allocator.allocate().doubles
    features = np.empty((count, count_features(config)), np.float32)
    run_features(record, doubles, samples, offsets, base, features, scale)
    return Extracted(features, base, scale)


def count_experts(config: AdaptivePredictorsConfig) -> int:
    """Returns K, the experts and their combinations."""
    return config.num_experts + len(config.combination.decays)
