"""Segments: what is coded alone, with predictors that start anew.

n frames, C channels, K experts and combinations, B blocks of long-term prediction.
"""

import collections
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.stream import Stream, fused_frequencies, init_stream, stretch_shares
from models.native_scale import SHIFT_BITS, common_zeros, least_depth
from models.predictors.bank import init_bank, run
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.extract import count_experts
from models.predictors.lag_search import LagSearch
from models.predictors.lags import pack_lags

_TRIAL = 16384  # Frames that decide which channel leads.
_GAIN = 0.01  # Bits a sample that the other order must win there.


class SegmentShares(NamedTuple):
    """What an encoder finds out about a segment; channels in the order of coding.

    A sample has the share [below, below + frequency) of the total: its cumulative frequency.

    Attributes:
      samples: int32 [C, n].
      is_swapped: whether the second of two channels comes first.
      lags: of long-term prediction, int64 [B, lags].
      below: int64 [C, n].
      frequencies: int64 [C, n].
      total: of all samples' frequencies.
    """

    samples: np.ndarray
    is_swapped: bool
    lags: np.ndarray
    below: np.ndarray
    frequencies: np.ndarray
    total: int


class SegmentCost(NamedTuple):
    """What a segment needs.

    Attributes:
      bits: of each sample, float32 [n, C].
      side_bits: what the lags take, and the bits that were taken away, where there are any.
      shares: of the segment.
    """

    bits: np.ndarray
    side_bits: int
    shares: SegmentShares


def measure_segment(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
) -> SegmentCost:
    """Returns what a codec needs for a segment, on its native scale."""
    shift = common_zeros(frames)
    frames = frames >> shift
    config = of_least_depth(config, frames)
    shares = segment_shares(config, network, frames.T)
    side_bits = 8 * len(pack_lags(shares.lags, len(frames), config.predictors.long_term))
    side_bits += SHIFT_BITS if shift else 0
    frequencies = shares.frequencies[::-1] if shares.is_swapped else shares.frequencies
    bits = (np.log2(shares.total) - np.log2(frequencies)).astype(np.float32)
    return SegmentCost(bits.T, side_bits, shares)


def segment_shares(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    samples: np.ndarray,  # signed integers [C, n]
) -> SegmentShares:
    """Predicts a segment as a decoder will, and searches for lags.

    Stretch by stretch, so that of the predictions of some 40 predictors few are in memory: the
    banks of all channels, which know nothing of lags; the search for those of what is known by now;
    then what follows the banks, in each channel a stretch behind the one before it, which it looks
    ahead in. Memory: 40 bytes a sample, of 2^22 stereo frames 340 MB.

    Args:
      config: the model's.
      network: its trained network.
      samples: of each channel.
    """
    samples = np.ascontiguousarray(samples, np.int32)
    is_swapped = len(samples) == 2 and _second_leads(config.predictors, config.depth, samples)
    if is_swapped:
        samples = samples[::-1].copy()
    channels, count = samples.shape
    search = LagSearch(config.predictors.long_term, channels, count)
    streams: list[Stream] = []
    for _ in range(channels):
        last = streams[-1] if streams else None
        streams.append(init_stream(config, network, search.lags, count, last))
    below, frequencies = np.empty((2, channels, count), np.int64)
    stretches = [slice(a, min(a + search.stretch, count)) for a in range(0, count, search.stretch)]
    waiting: list[collections.deque[_Predicted]] = [collections.deque() for _ in streams]
    total = 0
    # A turn more than stretches for the search, which looks ahead, and for each channel.
    for turn in range(len(stretches) + channels):
        if turn < len(stretches):
            stretch = stretches[turn]
            predicted = [_run_bank(streams, samples, c, stretch) for c in range(channels)]
            errors = [samples[c, stretch] - predicted[c].base for c in range(channels)]
            search.add(np.array(errors, np.float32))
            for queue, new in zip(waiting, predicted, strict=True):
                queue.append(new)
        for c in range(channels):
            behind = turn - 1 - c
            if 0 <= behind < len(stretches):
                stretch, (offsets, base) = stretches[behind], waiting[c].popleft()
                total = stretch_shares(
                    streams[c],
                    samples[c, stretch],
                    offsets,
                    base,
                    below[c, stretch],
                    frequencies[c, stretch],
                )
    return SegmentShares(samples, is_swapped, search.lags, below, frequencies, total)


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


class _Predicted(NamedTuple):
    offsets: np.ndarray  # What `bank.run` shows, float32 [m, K].
    base: np.ndarray  # The bank's predictions, float64 [m].


def _run_bank(
    streams: Sequence[Stream], samples: np.ndarray, channel: int, stretch: slice
) -> _Predicted:
    """Runs the bank of a channel over a stretch, which it then has behind it."""
    stream, count = streams[channel], stretch.stop - stretch.start
    found = _Predicted(np.empty((count, stream.offsets.size), np.float32), np.empty(count))
    other = before(samples, channel)
    run(stream.bank, samples[channel], other, stretch.start, found.offsets, found.base)
    return found


def _second_leads(config: AdaptivePredictorsConfig, depth: int, samples: np.ndarray) -> bool:
    """Whether the bank's errors are smaller with the channels the other way round."""
    count = min(_TRIAL, samples.shape[1])
    start = (samples.shape[1] - count) // 2
    stretch = samples[:, start : start + count]
    bits = []
    for order in (stretch.copy(), stretch[::-1].copy()):
        offsets, bases = np.empty((count, count_experts(config)), np.float32), np.empty(order.shape)
        for channel in range(2):
            bank = init_bank(config, depth, stereo=channel > 0)
            run(bank, order[channel], before(order, channel), 0, offsets, bases[channel])
        bits.append(np.log2(np.abs(order - bases)[:, count // 4 :] + 0.5).mean())
    return bool(bits[1] < bits[0] - _GAIN)
