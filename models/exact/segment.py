"""Segments: what is coded alone, with predictors that start anew.

n frames, C channels, K experts and combinations, B blocks of long-term prediction.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.stream import channel_frequencies, fused_frequencies, init_stream
from models.native_scale import SHIFT_BITS, common_zeros, least_depth
from models.predictors.bank import init_bank, run
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.extract import count_experts
from models.predictors.lag_search import find_lags
from models.predictors.lags import pack_lags

_TRIAL = 16384  # Frames that decide which channel leads.
_GAIN = 0.01  # Bits a sample that the other order must win there.


class Analysis(NamedTuple):
    """What an encoder finds in a segment before it codes it; channels in the order of coding.

    Attributes:
      samples: int32 [C, n].
      is_swapped: whether the second of two channels comes first.
      offsets: what `bank.run` shows, float32 [C, n, K].
      bases: the bank's predictions, float64 [C, n].
      lags: of long-term prediction, int64 [B, lags].
    """

    samples: np.ndarray
    is_swapped: bool
    offsets: np.ndarray
    bases: np.ndarray
    lags: np.ndarray


class SegmentCost(NamedTuple):
    """What a segment needs.

    Attributes:
      frequencies: int64 [n, C], of its samples.
      total: of all samples' frequencies: a sample takes log2(total / frequency) bits.
      side_bits: what the lags take, and the bits that were taken away, where there are any.
      analysis: of the segment.
    """

    frequencies: np.ndarray
    total: int
    side_bits: int
    analysis: Analysis

    @property
    def bits(self) -> np.ndarray:
        """Of each sample, float32 [n, C]."""
        return (np.log2(self.total) - np.log2(self.frequencies)).astype(np.float32)


def analyse_segment(config: AdaptiveModelConfig, frames: np.ndarray) -> Analysis:
    """Runs the bank over a segment and searches for lags.

    Memory: 4 K + 8 bytes a sample, of 2^21 stereo frames 500 MB with K = 28; the bank takes too
    long to run twice.

    Args:
      config: the model's.
      frames: signed integers [n, C].
    """
    samples = np.ascontiguousarray(frames.T, np.int32)
    predictors, depth = config.predictors, config.depth
    is_swapped = len(samples) == 2 and _second_leads(predictors, depth, samples)
    if is_swapped:
        samples = samples[::-1].copy()
    offsets = np.empty((*samples.shape, count_experts(predictors)), np.float32)
    bases = np.empty(samples.shape)
    for channel in range(len(samples)):
        _run_bank(predictors, depth, samples, channel, offsets[channel], bases[channel])
    lags = find_lags((samples - bases).astype(np.float32), predictors.long_term)
    return Analysis(samples, is_swapped, offsets, bases, lags)


def measure_segment(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
) -> SegmentCost:
    """Returns what a codec needs for a segment, on its native scale."""
    shift = common_zeros(frames)
    frames = frames >> shift
    config = of_least_depth(config, frames)
    found = analyse_segment(config, frames)
    count = found.samples.shape[1]
    frequencies = np.empty(found.samples.shape, np.int64)
    stream, total = None, 0
    for channel, samples in enumerate(found.samples):
        stream = init_stream(config, network, found.lags, count, stream)
        total = channel_frequencies(
            stream, samples, found.offsets[channel], found.bases[channel], frequencies[channel]
        )
    side_bits = 8 * len(pack_lags(found.lags, count, config.predictors.long_term))
    side_bits += SHIFT_BITS if shift else 0
    in_order = frequencies[::-1] if found.is_swapped else frequencies
    return SegmentCost(in_order.T, total, side_bits, found)


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


def _run_bank(
    config: AdaptivePredictorsConfig,
    depth: int,
    samples: np.ndarray,  # int32 [C, n]
    channel: int,
    offsets: np.ndarray,
    base: np.ndarray,
) -> None:
    bank = init_bank(config, depth, stereo=channel > 0)
    run(bank, samples[channel], before(samples, channel), offsets, base)


def _second_leads(config: AdaptivePredictorsConfig, depth: int, samples: np.ndarray) -> bool:
    """Whether the bank's errors are smaller with the channels the other way round."""
    count = min(_TRIAL, samples.shape[1])
    start = (samples.shape[1] - count) // 2
    stretch = samples[:, start : start + count]
    bits = []
    for order in (stretch.copy(), stretch[::-1].copy()):
        offsets, bases = np.empty((count, count_experts(config)), np.float32), np.empty(order.shape)
        for channel in range(2):
            _run_bank(config, depth, order, channel, offsets, bases[channel])
        bits.append(np.log2(np.abs(order - bases)[:, count // 4 :] + 0.5).mean())
    return bool(bits[1] < bits[0] - _GAIN)
