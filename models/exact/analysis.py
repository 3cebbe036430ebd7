"""What an encoder finds out about a segment: its lags, and the share of each sample.

n frames, C channels, m of a stretch, K experts and combinations, B blocks of long-term prediction.
"""

import functools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.segment import before, of_least_depth, stretches
from models.exact.stream import Stream, init_stream, stretch_shares
from models.interface import Advance, no_advance
from models.native_scale import SHIFT_BITS, common_zeros
from models.predictors.bank import init_bank, run
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.extract import count_experts
from models.predictors.lag_search import LagSearch
from models.predictors.lags import pack_lags
from runtime.threads import Call, run_in_turns

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
    *,
    num_threads: int = 1,
    advance: Advance = no_advance,
) -> SegmentShares:
    """Predicts a segment as a decoder will, and searches for lags.

    It goes stretch by stretch, so that of the predictions of some 30 predictors few are in memory.
    Memory, with all that an encoder has of a segment: 60 bytes a sample, of 2^22 stereo frames half
    a GB.

    Args:
      config: the model's.
      network: its trained network.
      samples: of each channel.
      num_threads: that share the work; up to 2 C + 1 have something to do.
      advance: is told what has been found out.
    """
    samples = np.ascontiguousarray(samples, np.int32)
    is_swapped = len(samples) == 2 and _second_leads(config.predictors, config.depth, samples)
    if is_swapped:
        samples = samples[::-1].copy()
    found = _Analysis(config, network, samples)
    for _ in run_in_turns(found.turns(), num_threads):
        advance(*found.take_done())
    return SegmentShares(
        samples, is_swapped, found.search.lags, found.below, found.frequencies, found.total
    )


class _Predicted(NamedTuple):
    offsets: np.ndarray  # What `bank.run` shows, float32 [m, K].
    base: np.ndarray  # The bank's predictions, float64 [m].


class _Analysis:
    """A segment that is gone through.

    Attributes: see `SegmentShares`, and
      search: for lags.
    """

    def __init__(self, config: AdaptiveModelConfig, network: ExactMlp, samples: np.ndarray) -> None:
        """Begins."""
        channels, frames = samples.shape
        self.search = LagSearch(config.predictors.long_term, channels, frames)
        self.below, self.frequencies = np.empty((2, channels, frames), np.int64)
        self.total = 1
        self._samples = samples
        self._streams: list[Stream] = []
        for channel in range(channels):
            last = self._streams[-1] if channel else None
            self._streams.append(init_stream(config, network, self.search.lags, frames, last))
        self._stretches = stretches(config.predictors.long_term, frames)
        self._predicted: dict[tuple[int, int], _Predicted] = {}
        self._done: list[tuple[int, slice]] = []

    def turns(self) -> Iterator[Sequence[Call]]:
        """Yields calls, see `run_in_turns`.

        Of a stretch first the banks of all channels, which know nothing of lags; then the search in
        their errors, which looks ahead into the next stretch; and then what follows the banks, in
        each channel behind the one before it, which it looks ahead in.
        """
        channels = range(len(self._streams))
        behind = [3 + 2 * channel for channel in channels]
        for turn in range(len(self._stretches) + behind[-1]):
            works = [(self._run_bank, channel, turn) for channel in channels]
            works += [(self._follow, c, turn - behind[c]) for c in channels]
            calls = [
                functools.partial(work, channel, number)
                for work, channel, number in works
                if 0 <= number < len(self._stretches)
            ]
            if 0 < turn <= len(self._stretches):
                calls.append(functools.partial(self._search, turn - 1))
            yield calls

    def take_done(self) -> tuple[int, float]:
        """Returns the samples, and their bits, that have been done since it was last called."""
        done, self._done = self._done, []
        count = sum(stretch.stop - stretch.start for _, stretch in done)
        bits = sum(
            float(np.log2(self.total / self.frequencies[channel, stretch]).sum())
            for channel, stretch in done
        )
        return count, bits

    def _run_bank(self, channel: int, number: int) -> None:
        stretch, stream = self._stretches[number], self._streams[channel]
        count = stretch.stop - stretch.start
        found = _Predicted(np.empty((count, stream.offsets.size), np.float32), np.empty(count))
        own, other = self._samples[channel], before(self._samples, channel)
        run(stream.bank, own, other, stretch.start, found.offsets, found.base)
        self._predicted[channel, number] = found

    def _search(self, number: int) -> None:
        stretch = self._stretches[number]
        bases = [self._predicted[c, number].base for c in range(len(self._streams))]
        self.search.add((self._samples[:, stretch] - bases).astype(np.float32))

    def _follow(self, channel: int, number: int) -> None:
        stretch = self._stretches[number]
        predicted = self._predicted.pop((channel, number))
        self.total = stretch_shares(
            self._streams[channel],
            self._samples[channel, stretch],
            predicted.offsets,
            predicted.base,
            self.below[channel, stretch],
            self.frequencies[channel, stretch],
        )
        self._done.append((channel, stretch))


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
