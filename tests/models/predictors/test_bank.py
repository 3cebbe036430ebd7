"""The bank of adaptive predictors: causal, exact, stable, and better than what it is made of."""

import concurrent.futures
import dataclasses
import hashlib

import numpy as np
import pytest

from models.predictors.bank import init_bank, predict, run, update
from models.predictors.config import (
    AdaptivePredictorsConfig,
    ChainConfig,
    CombinationConfig,
    HighOrderConfig,
    LeastSquaresConfig,
    NlmsConfig,
)
from models.predictors.least_squares import AHEAD
from models.predictors.sets import BEST
from tests.models.predictors.signals import noise, tones

SMALL = AdaptivePredictorsConfig(
    chains=(
        ChainConfig(
            head=LeastSquaresConfig(taps=16, past=8, ahead=8),
            stages=(NlmsConfig(taps=64, rate=0.1), NlmsConfig(taps=16, rate=0.02)),
        ),
        ChainConfig(
            head=HighOrderConfig(taps=64, interval=32), stages=(NlmsConfig(taps=32, rate=0.05),)
        ),
    ),
    combination=CombinationConfig(decays=(0.99, 0.998)),
)
NONE = np.zeros(0, np.int32)


def predictions(samples, other=NONE, config=SMALL, depth=16, bank=None):
    bank = bank or init_bank(config, depth, stereo=other.size > 0)
    count = config.num_experts + len(config.combination.decays)
    offsets, base = np.empty((samples.size, count), np.float32), np.empty(samples.size)
    run(bank, samples, other, 0, offsets, base)
    return offsets + base[:, np.newaxis], base


def cost(samples, base):
    """About the bits that errors need: strikes, which nobody foresees, do not rule it."""
    return np.log2(np.abs(samples - base)[samples.size // 2 :] + 1).mean()


def digest():
    transforms = ChainConfig(head=HighOrderConfig(taps=512, decay=0.9995, interval=512))
    config = dataclasses.replace(SMALL, chains=(*SMALL.chains, transforms))
    samples = tones(6000)
    other = np.roll(samples, 3) // 2 + noise(samples.size, 5, 20)
    results = [predictions(samples, config=config), predictions(samples, other, config)]
    return hashlib.sha256(b"".join(a.tobytes() for pair in results for a in pair)).hexdigest()


@pytest.mark.both_stacks
def test_the_same_bits_everywhere():
    """This number changes only with a new version of the codec's format."""
    assert digest() == GOLDEN


def test_the_same_bits_from_many_threads():
    samples = tones(3000)
    expected = predictions(samples)[1]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _, base in pool.map(predictions, [samples] * 8):
            assert np.array_equal(base, expected)


def test_sample_by_sample_and_in_stretches():
    samples = tones(3000)
    _, expected = predictions(samples)
    bank, one_by_one = init_bank(SMALL, 16), []
    for sample in samples:
        one_by_one.append(predict(bank))
        update(bank, float(sample))
    assert np.array_equal(one_by_one, expected)

    bank = init_bank(SMALL, 16)
    stretches = [predictions(part, bank=bank)[1] for part in np.split(samples, [1, 17, 2000])]
    assert np.array_equal(np.concatenate(stretches), expected)


@pytest.mark.parametrize("at", [0, 1, 100, 1500])
def test_a_sample_changes_only_what_comes_after(at):
    samples = tones(2000)
    changed = samples.copy()
    changed[at] += 1000
    before, after = predictions(samples)[1], predictions(changed)[1]
    assert np.array_equal(before[: at + 1], after[: at + 1])
    assert not np.array_equal(before[at + 1 :], after[at + 1 :])


def test_another_channel_is_known_a_little_ahead():
    samples, other = tones(2000), tones(2000, seed=9)
    changed = other.copy()
    changed[1000:] += 500
    before, after = (predictions(samples, y)[1] for y in (other, changed))
    first = np.flatnonzero(before != after)[0]
    assert first == 1000 - AHEAD + 1


NASTY = {
    "silence": np.zeros(8000, np.int32),
    "constant": np.full(8000, 12345, np.int32),
    "square": np.where(np.arange(8000) // 50 % 2, 32767, -32768).astype(np.int32),
    "clicks": np.where(np.arange(8000) % 1777 == 0, 32767, 0).astype(np.int32),
    "noise": noise(8000, 3, 32768),
    "jumps": np.repeat(noise(80, 4, 32768), 100),
    "quiet after loud": np.where(np.arange(8000) < 4000, noise(8000, 5, 32768), noise(8000, 6, 2)),
    "alternating": np.where(np.arange(8000) % 2, 32767, -32768).astype(np.int32),
}


@pytest.mark.parametrize("name", NASTY)
def test_stable_on_anything_and_recovers(name):
    samples = np.concatenate([NASTY[name], tones(8000)]).astype(np.int32)
    experts, base = predictions(samples)
    assert np.isfinite(experts).all() and np.isfinite(base).all()
    assert base.min() >= -32768 and base.max() <= 32767
    # Told less the base, in float32.
    assert experts.min() >= -32768.01 and experts.max() <= 32767.01
    alone = np.abs(tones(8000) - predictions(tones(8000))[1])[4000:].mean()
    assert np.abs(samples - base)[12000:].mean() < 1.2 * alone


@pytest.mark.parametrize("depth", [8, 16, 24])
def test_any_depth(depth):
    scale = 2.0 ** (depth - 16)
    samples = np.floor(tones(4000) * scale).astype(np.int32)
    error = np.abs(samples - predictions(samples, depth=depth)[1])[2000:].mean()
    assert error < 0.25 * np.abs(samples[2000:]).mean() + 0.5


@pytest.mark.parametrize("frequencies", [(0.05,), (0.05, 0.313, 0.01)])
def test_pure_tones_of_24_bits(frequencies):
    """What float64 has no digits for is left out by arithmetic: the error is that of rounding."""
    phases = np.outer(frequencies, np.arange(6000))
    samples = np.round(2**22 * np.sin(phases).mean(0)).astype(np.int32)
    experts, base = predictions(samples, depth=24)
    errors = np.abs(samples[:, np.newaxis] - experts)[3000:].mean(0)
    assert np.abs(samples - base)[3000:].mean() < 1 + 1.5 * errors.min()


def test_the_base_is_as_good_as_the_best_expert():
    """Which one that is, it has to find out; on recordings it is better than each."""
    samples = tones(12000)
    experts, base = predictions(samples)
    costs = [cost(samples, expert) for expert in experts.T]
    assert cost(samples, base) < 1.03 * min(costs)
    assert cost(samples, base) < np.mean(costs)


def test_another_channel_helps():
    samples = noise(8000, 1)
    other = np.roll(samples, -4) + noise(8000, 2, 10)
    alone, both = predictions(samples)[1], predictions(samples, other)[1]
    assert np.abs(samples - both)[2000:].mean() < 0.1 * np.abs(samples - alone)[2000:].mean()


def test_the_best_set_is_better_than_a_small_one():
    samples = tones(8000)
    best = predictions(samples, config=BEST)[1]
    assert cost(samples, best) < cost(samples, predictions(samples)[1])


GOLDEN = "999bc7102a0e950aa723577798e85e8b7efe053819c53759a1439c83f859278e"
