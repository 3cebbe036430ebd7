"""Intervals, means and entropies. N files."""

import math

import numpy as np
import pytest

from evaluation import statistics
from evaluation.statistics import bootstrap, mean_over_files, order0_bits_per_sample, rate


def _files(count, seed=0):
    rng = np.random.default_rng(seed)
    samples = rng.integers(1_000, 50_000, count)
    return rng.gamma(9, 0.3, count) * samples, samples


def test_the_interval_is_that_of_the_normal_approximation_where_files_are_many():
    bits, samples = _files(2_000)
    low, high = bootstrap(bits, samples)
    residuals = bits - rate(bits, samples) * samples
    # The delta method for a ratio of sums (Cochran, Sampling Techniques, 1977, section 6.3).
    error = 1.96 * math.sqrt((residuals**2).sum()) / samples.sum()
    assert low == pytest.approx(rate(bits, samples) - error, abs=0.1 * error)
    assert high == pytest.approx(rate(bits, samples) + error, abs=0.1 * error)


def test_files_are_drawn_and_not_samples():
    # A long file that costs 4 bits and a short one that costs 1: rates from 1 to 4 are possible.
    assert bootstrap(np.array([4e6, 1.0]), np.array([10**6, 1])) == (1.0, 4.0)


def test_files_that_are_alike_leave_no_doubt():
    samples = np.array([10, 1_000, 3])
    assert bootstrap(2.5 * samples, samples) == (2.5, 2.5)


def test_the_interval_of_a_paired_difference_is_narrow():
    bits, samples = _files(30)
    other = 1.02 * bits
    low, high = bootstrap(bits - other, samples)
    alone = bootstrap(bits, samples)
    assert low < high < 0  # clear, although the intervals of the two overlap
    assert high - low < 0.1 * (alone[1] - alone[0])


def test_one_file_has_no_interval():
    assert bootstrap(np.array([5.0]), np.array([10])) is None
    assert bootstrap(np.array([5.0, 0.0]), np.array([10, 0])) is None


def test_files_without_samples_do_not_count():
    bits, samples = _files(10)
    with_empty = bootstrap(np.append(bits, 0.0), np.append(samples, 0))
    assert with_empty == bootstrap(bits, samples)


def test_the_seed_alone_decides(monkeypatch):
    bits, samples = _files(50)
    whole = bootstrap(bits, samples, seed=3)
    assert whole != bootstrap(bits, samples, seed=4)
    monkeypatch.setattr(statistics, "_INDICES_AT_ONCE", 120)  # two draws at a time
    assert bootstrap(bits, samples, seed=3) == pytest.approx(whole, rel=0.01)
    assert bootstrap(bits, samples, seed=3) == bootstrap(bits, samples, seed=3)


def test_means_over_samples_and_over_files():
    bits, samples = np.array([8.0, 100.0, 0.0]), np.array([1, 100, 0])
    assert rate(bits, samples) == 108 / 101
    assert mean_over_files(bits, samples) == (8 + 1) / 2
    assert math.isnan(rate(bits[2:], samples[2:]))
    assert math.isnan(mean_over_files(bits[2:], samples[2:]))


@pytest.mark.parametrize(
    ("counts", "entropy"),
    [([7] * 256, 8.0), ([0, 9, 0], 0.0), ([1, 1, 2], 1.5), ([3, 1], 0.811278)],
)
def test_order0_entropy(counts, entropy):
    assert order0_bits_per_sample(np.array(counts)) == pytest.approx(entropy, abs=1e-6)


def test_nothing_counted_has_no_entropy():
    assert math.isnan(order0_bits_per_sample(np.zeros(4, np.int64)))
