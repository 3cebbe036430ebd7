"""Segments: what is coded alone, with predictors that start anew.

n frames, C channels, K experts and combinations, B blocks of long-term prediction.
"""

import dataclasses

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.stream import fused_frequencies, init_stream
from models.native_scale import least_depth
from models.predictors.config import LongTermConfig

STRETCH = 8192  # Frames, about: long for a call, short beside a segment.


def stretches(config: LongTermConfig, frames: int) -> list[slice]:
    """Returns the stretches of a segment of n frames, which channels go through in turns.

    They are whole blocks of long-term prediction: lags are those of blocks.
    """
    size = -(-STRETCH // config.block) * config.block
    return [slice(a, min(a + size, frames)) for a in range(0, frames, size)]


def segment_frequencies(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    samples: np.ndarray,  # int32 [C, n], in the order of coding
    lags: np.ndarray,  # int64 [B, lags]
) -> np.ndarray:  # int64 [C, n]
    """Returns the frequency of each sample, as a decoder comes to know them."""
    config = of_least_depth(config, samples)
    frequencies = np.empty(samples.shape, np.int64)
    stream = None
    for channel, own in enumerate(samples):
        stream = init_stream(config, network, lags, samples.shape[1], stream)
        fused_frequencies(stream, own, before(samples, channel), frequencies[channel])
    return frequencies


def of_least_depth(config: AdaptiveModelConfig, samples: np.ndarray) -> AdaptiveModelConfig:
    """Returns the config for a segment's samples: of the least depth that has them all."""
    return dataclasses.replace(config, depth=least_depth(samples))


def before(samples: np.ndarray, channel: int) -> np.ndarray:
    """Returns the samples of the channel before one, int32 [n], or [0] of the first."""
    return samples[channel - 1] if channel else np.zeros(0, np.int32)
