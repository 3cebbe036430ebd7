"""Features of the adaptive predictors."""

import numpy as np

from models.predictors.features import init_features, num_features, run_features
from models.predictors.memory import Allocator
from tests.models.predictors.signals import noise, tones
from tests.models.predictors.test_bank import SMALL, predictions

EXPERTS = SMALL.num_experts + 2


def features(samples, experts, base, state=None):
    if state is None:
        allocator = Allocator()
        state = init_features(EXPERTS, allocator), allocator.allocate().doubles
    records, doubles = state
    rows = np.empty((samples.size, num_features(EXPERTS)), np.float32)
    scales = np.empty(samples.size)
    offsets = (experts - base[:, np.newaxis]).astype(np.float32)
    run_features(records[0], doubles, samples, offsets, base, rows, scales)
    return rows, scales, state


def test_they_are_what_is_known_before_the_sample():
    samples = tones(2000)
    experts, base = predictions(samples)
    rows, scales, _ = features(samples, experts, base)
    changed = samples.copy()
    changed[1000] += 300
    others, other_scales, _ = features(changed, experts, base)
    assert np.array_equal(rows[:1001], others[:1001])
    assert np.array_equal(scales[:1001], other_scales[:1001])
    assert not np.array_equal(rows[1001], others[1001])


def test_their_values():
    samples = np.array([5, -3, 40], np.int32)
    experts = np.full((3, EXPERTS), 2.0)
    base = np.array([1.0, 1.5, 0.0])
    rows, scales, _ = features(samples, experts, base)
    # The mean error of about 16 samples, and 0.1.
    assert scales[0] == 0.1 and scales[1] == 0.1 + 4 / 16
    assert np.allclose(rows[0, :EXPERTS], 1 / 0.1 / 2.5)
    assert np.allclose(rows[1, :EXPERTS], 0.5 / scales[1] / 2.5)
    newest = EXPERTS + 5 + EXPERTS
    assert rows[1, newest] == 8  # The limit: 4 / 0.35 * 0.8 is beyond it.
    assert np.allclose(rows[2, newest : newest + 2], np.array([-4.5, 4]) / scales[2] * 0.8)
    assert np.allclose(rows[1, newest + 16], 3.5 / scales[1] / 40)
    assert np.isclose(rows[0, -2], (1 - 8) * 0.35)  # log2(1 + 1)
    assert rows[1, -1] == (0.5 - 1) * 3.5  # 1.5 is half a step off.


def test_they_are_of_one_size():
    """What a network learns best from, whatever the signal is."""
    for samples in (tones(6000, 1), 20 * tones(6000, 2), noise(6000, 3) // 8):
        experts, base = predictions(samples)
        rows, _, _ = features(samples, experts, base)
        assert np.abs(rows).max() <= 8
        assert 0.05 < rows[1000:].std() < 2.5


def test_in_stretches():
    samples = noise(600, 1)
    experts, base = predictions(samples)
    expected = features(samples, experts, base)[0]
    state, parts = None, []
    for part in (slice(0, 1), slice(1, 250), slice(250, 600)):
        rows, _, state = features(samples[part], experts[part], base[part], state)
        parts.append(rows)
    assert np.array_equal(np.concatenate(parts), expected)


def test_logarithms_are_near():
    samples = noise(3000, 1)
    experts, base = np.zeros((3000, EXPERTS)), np.zeros(3000)
    rows, _, _ = features(samples, experts, base)
    size = rows[2999, EXPERTS + 4]  # Of the mean |error| over 2048 samples.
    mean = np.abs(samples).mean() * (1 - np.exp(-3000 / 2048))
    assert abs(size / 0.33 + 4 - np.log2(mean)) < 0.15
