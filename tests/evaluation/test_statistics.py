"""Intervals, means and histograms. N files."""

import collections
import itertools
import json
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from evaluation.statistics import SampleHistogram, bits_per_sample, bootstrap, mean_over_files


def _files(count, seed=0):
    rng = np.random.default_rng(seed)
    samples = rng.integers(1_000, 50_000, count)
    return rng.gamma(9, 0.3, count) * samples, samples


def test_the_interval_is_that_of_the_normal_approximation_where_files_are_many():
    bits, samples = _files(2_000)
    low, high = bootstrap(bits, samples)
    residuals = bits - bits_per_sample(bits, samples) * samples
    # The delta method for a ratio of sums (Cochran, Sampling Techniques, 1977, section 6.3).
    error = 1.96 * math.sqrt((residuals**2).sum()) / samples.sum()
    assert low == pytest.approx(bits_per_sample(bits, samples) - error, abs=0.1 * error)
    assert high == pytest.approx(bits_per_sample(bits, samples) + error, abs=0.1 * error)


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


def test_the_seed_alone_decides():
    bits, samples = _files(50)
    whole = bootstrap(bits, samples, seed=3)
    assert whole != bootstrap(bits, samples, seed=4)
    two_draws_at_a_time = bootstrap(bits, samples, seed=3, max_indices=120)
    assert two_draws_at_a_time == pytest.approx(whole, rel=0.01)
    assert bootstrap(bits, samples, seed=3) == whole


def test_means_over_samples_and_over_files():
    bits, samples = np.array([8.0, 100.0, 0.0]), np.array([1, 100, 0])
    assert bits_per_sample(bits, samples) == 108 / 101
    assert mean_over_files(bits, samples) == (8 + 1) / 2
    assert math.isnan(bits_per_sample(bits[2:], samples[2:]))
    assert math.isnan(mean_over_files(bits[2:], samples[2:]))


def _histogram(*arrays):
    histogram = SampleHistogram()
    for array in arrays:
        histogram.add(array)
    return histogram


def _counts(histogram):
    return dict(zip(histogram.values.tolist(), histogram.counts.tolist(), strict=True))


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (np.int8, -128, 128),
        (np.int16, -(2**15), 2**15),
        (np.int32, -(2**23), 2**23),  # 24 bits
        (np.int32, 2**23 - 50, 2**23),  # far from zero, and few
        (np.int32, -(2**31), 2**31),
    ],
)
def test_a_histogram_counts(dtype, low, high):
    rng = np.random.default_rng(1)
    drawn = [rng.integers(low, high, (3, 500)).astype(dtype) for _ in range(3)]
    drawn[0][0, :2] = low, high - 1  # the whole range
    expected = collections.Counter(np.concatenate(drawn).ravel().tolist())
    histogram = _histogram(*drawn)
    assert _counts(histogram) == expected
    assert histogram.values.tolist() == sorted(expected)
    assert histogram.values.dtype == histogram.counts.dtype == np.int64


@hypothesis.given(
    st.lists(st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(-3, 3), max_size=9))
)
def test_histograms_merge(parts):
    arrays = [np.array(part, np.int32) for part in parts]
    merged = SampleHistogram()
    for array in arrays:
        merged.merge(_histogram(array))
    expected = collections.Counter(itertools.chain(*parts))
    assert _counts(merged) == _counts(_histogram(*arrays)) == expected


def test_a_histogram_travels_as_json():
    histogram = _histogram(np.array([5, -(2**23), 5], np.int32))
    sent = json.dumps(histogram.to_json())
    received = SampleHistogram.from_json(json.loads(sent))
    assert _counts(received) == {-(2**23): 1, 5: 2}
    received.add(np.array([5]))
    assert _counts(received)[5] == 3 and _counts(histogram)[5] == 2


@pytest.mark.parametrize(
    ("counts", "bits"),
    [([7] * 256, 8.0), ([9], 0.0), ([1, 1, 2], 1.5), ([3, 1], 0.811278)],
)
def test_order0_bits_per_sample(counts, bits):
    histogram = _histogram(np.repeat(np.arange(len(counts)) - 2, counts))
    assert histogram.order0_bits_per_sample == pytest.approx(bits, abs=1e-6)


def test_nothing_counted_has_no_order0_bits_per_sample():
    assert math.isnan(_histogram(np.zeros(0, np.int16)).order0_bits_per_sample)
