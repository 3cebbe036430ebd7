"""Statistics of bits per sample over files.

N files, D draws of them, V values of a sample.
"""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np

CONFIDENCE = 0.95
DRAWS = 2000

_MAX_INDICES = 2**20  # 16 MiB
_DENSE_RANGE = 2**17  # of values: all of 16 bits, in a table of 1 MiB


def bootstrap(
    bits: np.ndarray,  # [N]
    samples: np.ndarray,  # [N]
    *,
    seed: int = 0,
    draws: int = DRAWS,
    max_indices: int = _MAX_INDICES,
) -> tuple[float, float] | None:
    """Returns the 95% bootstrap interval of sum(bits) / sum(samples), resampling files.

    The percentile interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter
    13). Files are resampled, with replacement, since the samples of a file are anything but
    independent. With few files, below about twenty, the interval is too narrow.

    The paired interval of the difference of two codecs on the same files is that of the
    differences of their bits, `bootstrap(bits - other_bits, samples)`: much narrower than the two
    intervals suggest, because files that are hard for one are hard for both.

    Args:
      bits: cost of each file.
      samples: samples of each file; files without any are ignored.
      seed: random seed of the draws.
      draws: D.
      max_indices: indices drawn at a time; bounds the memory, 16 bytes each.

    Returns:
      (low, high) in bits per sample; None if fewer than two files have samples.
    """
    used = np.asarray(samples) > 0
    bits, samples = np.asarray(bits, np.float64)[used], np.asarray(samples)[used]
    files = len(samples)
    if files < 2:
        return None
    generator = np.random.default_rng(seed)
    results = np.empty(draws)
    # A matrix of all draws would take 32 GB for a million files.
    at_once = max(1, max_indices // files)
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

    A short file counts as much as a long one. NaN if no file has samples.
    """
    used = samples > 0
    return float((bits[used] / samples[used]).mean()) if used.any() else float("nan")


class SampleHistogram:
    """Counts of the values of integer samples of any depth.

    Sparse: a table of 24-bit values would take 134 MB, and audio uses few of them.

    Attributes:
      values: int64 [V], distinct values in ascending order.
      counts: int64 [V], occurrences of each.
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
            used = np.flatnonzero(table)
            self._add_counts(used + low, table[used])
        else:  # np.unique sorts: ten times slower than a small table.
            self._add_counts(*np.unique(samples, return_counts=True))

    def merge(self, other: Self) -> None:
        """Adds the counts of another histogram."""
        self._add_counts(other.values, other.counts)

    def _add_counts(self, values: np.ndarray, counts: np.ndarray) -> None:
        # Both are sorted: their places in the union are found without a table.
        union = np.union1d(self.values, values).astype(np.int64)
        summed = np.zeros(len(union), np.int64)
        summed[np.searchsorted(union, self.values)] += self.counts
        summed[np.searchsorted(union, values)] += counts
        self.values, self.counts = union, summed

    def to_json(self) -> dict[str, list[int]]:
        """Returns JSON values for `from_json`, to be sent to other hosts."""
        return {"values": self.values.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, content: Mapping[str, Sequence[int]]) -> Self:
        """Returns the histogram that `to_json` was called on."""
        histogram = cls()
        histogram._add_counts(*(np.array(content[name], np.int64) for name in ("values", "counts")))
        return histogram

    @property
    def order0_bits_per_sample(self) -> float:
        """The empirical order-0 entropy, sum(p * log2(1 / p)) (Shannon 1948, section 6).

        The bits per sample of a memoryless coder that knows these counts. NaN if there are none.
        """
        total = self.counts.sum()
        if not total:
            return float("nan")
        shares = self.counts / total
        return float((shares * np.log2(1 / shares)).sum())
