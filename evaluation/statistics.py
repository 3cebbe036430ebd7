"""Statistics of rates: how far one can trust a number that files gave.

N files, D draws of them.
"""

import numpy as np

CONFIDENCE = 0.95
DRAWS = 2000

_INDICES_AT_ONCE = 2**20


def bootstrap(
    bits: np.ndarray,  # [N]
    samples: np.ndarray,  # [N]
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> tuple[float, float] | None:
    """Returns the 95% interval of the rate, sum(bits) / sum(samples), over files drawn anew.

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

    Returns:
      (low, high) in bits per sample; None where fewer than two files have samples.
    """
    heard = np.asarray(samples) > 0
    bits, samples = np.asarray(bits, np.float64)[heard], np.asarray(samples)[heard]
    files = len(samples)
    if files < 2:
        return None
    generator = np.random.default_rng(seed)
    rates = np.empty(draws)
    at_once = max(1, _INDICES_AT_ONCE // files)  # bounds the memory
    for begin in range(0, draws, at_once):
        part = rates[begin : begin + at_once]
        drawn = generator.integers(files, size=(len(part), files))
        part[:] = bits[drawn].sum(1) / samples[drawn].sum(1)
    low, high = np.quantile(rates, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def rate(bits: np.ndarray, samples: np.ndarray) -> float:
    """Returns bits per sample over all samples, [N] and [N]; NaN where there are none."""
    total = samples.sum()
    return float(bits.sum() / total) if total else float("nan")


def mean_over_files(bits: np.ndarray, samples: np.ndarray) -> float:
    """Returns the mean of the files' own rates, [N] and [N]: a short file counts like a long one.

    NaN where no file has samples.
    """
    heard = samples > 0
    return float((bits[heard] / samples[heard]).mean()) if heard.any() else float("nan")


def order0_bits_per_sample(counts: np.ndarray) -> float:  # int [V]
    """Returns the bits per symbol of a coder that knows how often each symbol comes, and no more.

    The empirical entropy of order 0, sum(p * log2(1 / p)) (Shannon 1948, section 6); NaN where
    nothing was counted.
    """
    total = counts.sum()
    if not total:
        return float("nan")
    shares = counts[counts > 0] / total
    return float((shares * np.log2(1 / shares)).sum())
