"""Segments: what is coded alone, with predictors that start anew.

n frames, C channels, K experts and combinations, B blocks of long-term prediction.
"""

from typing import NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.stream import channel_frequencies, fused_frequencies, init_stream
from models.predictors.bank import init_bank, run
from models.predictors.extract import count_experts
from models.predictors.lag_search import find_lags
from models.predictors.lags import pack_lags


class SegmentCost(NamedTuple):
    """What a segment needs.

    Attributes:
      frequencies: int64 [n, C], of its samples.
      total: of all samples' frequencies: a sample takes log2(total / frequency) bits.
      lags: those of its blocks, int64 [B, lags].
      lag_bits: what they take.
    """

    frequencies: np.ndarray
    total: int
    lags: np.ndarray
    lag_bits: int

    @property
    def bits(self) -> np.ndarray:
        """Of each sample, float32 [n, C]."""
        return (np.log2(self.total) - np.log2(self.frequencies)).astype(np.float32)


def measure_segment(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
) -> SegmentCost:
    """Goes through a segment as an encoder does: the bank, the search for lags, the rest."""
    channels = np.ascontiguousarray(frames.T, np.int32)
    count = channels.shape[1]
    predictors = config.predictors
    # Of 2^20 stereo frames 250 MB: the bank takes longer than the rest.
    experts = np.empty((*channels.shape, count_experts(predictors)), np.float32)
    bases = np.empty(channels.shape)
    for channel, samples in enumerate(channels):
        bank = init_bank(predictors, config.depth, stereo=channel > 0)
        run(bank, samples, _before(channels, channel), experts[channel], bases[channel])
    lags = find_lags((channels - bases).astype(np.float32), predictors.long_term)
    frequencies = np.empty(channels.shape, np.int64)
    stream, total = None, 0
    for channel, samples in enumerate(channels):
        stream = init_stream(config, network, lags, count, stream)
        total = channel_frequencies(
            stream, samples, experts[channel], bases[channel], frequencies[channel]
        )
    lag_bits = 8 * len(pack_lags(lags, count, predictors.long_term))
    return SegmentCost(frequencies.T, total, lags, lag_bits)


def segment_frequencies(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
    lags: np.ndarray,  # int64 [B, lags]
) -> np.ndarray:  # int64 [n, C]
    """Returns the frequency of each sample, as a decoder comes to know them."""
    channels = np.ascontiguousarray(frames.T, np.int32)
    frequencies = np.empty(channels.shape, np.int64)
    stream = None
    for channel, samples in enumerate(channels):
        stream = init_stream(config, network, lags, channels.shape[1], stream)
        fused_frequencies(stream, samples, _before(channels, channel), frequencies[channel])
    return frequencies.T


def _before(channels: np.ndarray, channel: int) -> np.ndarray:
    return channels[channel - 1] if channel else np.zeros(0, np.int32)
