"""Statistics of bits per sample: how far one can trust a number that files gave.

N files, D draws of them, V values of a sample.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

CONFIDENCE = 0.95
DRAWS = 2000

_INDICES_AT_ONCE = 2**20
_DENSE_RANGE = 2**17


def bootstrap(
    bits: np.ndarray,  # [N]
    samples: np.ndarray,  # [N]
    *,
    seed: int = 0,
    draws: int = DRAWS,
    indices_at_once: int = _INDICES_AT_ONCE,
) -> tuple[float, float] | None:
    """Returns the 95% interval of sum(bits) / sum(samples) over files drawn anew.

    The percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13). What is drawn is files, with replacement, for the samples of a file are anything but
    independent. With few files the interval is too narrow: take it as a hint below some twenty.

    The paired interval of the difference of two codecs on the same files is that of the
    differences of their bits, `bootstrap(bits - other_bits, samples)`: much narrower than the two
    intervals suggest, because files that are hard are hard for both.

    Args:
      bits: what each file needs.
      samples: how many samples each has; files without any are left out.
      seed: the same seed draws the same files.
      draws: D.
      indices_at_once: bounds the memory, 16 bytes an index.

    Returns:
      (low, high) in bits per sample; None where fewer than two files have samples.
    """
    used = np.asarray(samples) > 0
    bits, samples = np.asarray(bits, np.float64)[used], np.asarray(samples)[used]
    files = len(samples)
    if files < 2:
        return None
    generator = np.random.default_rng(seed)
    results = np.empty(draws)
    at_once = max(1, indices_at_once // files)
    for begin in range(0, draws, at_once):
        part = results[begin : begin + at_once]
        drawn = generator.integers(files, size=(len(part), files))
        part[:] = bits[drawn].sum(1) / samples[drawn].sum(1)
    low, high = np.quantile(results, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def bits_per_sample(bits: np.ndarray, samples: np.ndarray) -> float:
    """Returns bits per sample over all samples, [N] and [N]; NaN where there are none."""
    total = samples.sum()
    return float(bits.sum() / total) if total else float("nan")


def mean_over_files(bits: np.ndarray, samples: np.ndarray) -> float:
    """Returns the mean of the files' own bits per sample, [N] and [N].

    A short file counts like a long one. NaN where no file has samples.
    """
    used = samples > 0
    return float((bits[used] / samples[used]).mean()) if used.any() else float("nan")


class SampleHistogram:
    """How often each value comes among integer samples of any depth.

    Sparse: a table of 24-bit values would take 134 MB, and audio has few of them.

    Attributes:
      values: int64 [V], those that come, in ascending order.
      counts: int64 [V], how often each comes.
    """

    def __init__(self) -> None:
        self.values = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)

    def add(self, samples: np.ndarray) -> None:
        """Counts integer samples, of any shape."""
        if not samples.size:
            return
        low = int(samples.min())
        if int(samples.max()) - low < _DENSE_RANGE:
            table = np.bincount(samples.ravel().astype(np.int64) - low)
            places = np.flatnonzero(table)
            self._add_counts(places + low, table[places])
        else:  # It sorts: tenfold the time of a table, where that is small.
            self._add_counts(*np.unique(samples, return_counts=True))

    def merge(self, other: Self) -> None:
        """Adds the counts of another histogram."""
        self._add_counts(other.values, other.counts)

    def _add_counts(self, values: np.ndarray, counts: np.ndarray) -> None:
        union = np.union1d(self.values, values).astype(np.int64)
        summed = np.zeros(len(union), np.int64)
        summed[np.searchsorted(union, self.values)] += self.counts
        summed[np.searchsorted(union, values)] += counts
        self.values, self.counts = union, summed

    def to_json(self) -> dict[str, list[int]]:
        """Returns what `from_json` reads, such as one host sends to another."""
        return {"values": self.values.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[int]]) -> Self:
        """Returns the histogram that `to_json` was called on."""
        histogram = cls()
        histogram._add_counts(*(np.array(content[name], np.int64) for name in ("values", "counts")))
        return histogram

    @property
    def order0_bits_per_sample(self) -> float:
        """What a coder needs that knows how often each value comes, and no more.

        The empirical entropy of order 0, sum(p * log2(1 / p)) (Shannon 1948, section 6); NaN where
        nothing was counted.
        """
        total = self.counts.sum()
        if not total:
            return float("nan")
        shares = self.counts / total
        return float((shares * np.log2(1 / shares)).sum())
