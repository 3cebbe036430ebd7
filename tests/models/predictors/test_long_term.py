"""Long-term prediction: exact, causal, and worth its lags where a segment repeats itself."""

import dataclasses
import hashlib

import numpy as np
import pytest

from models.predictors.bank import init_bank, predict, run, show, update
from models.predictors.config import LongTermConfig
from models.predictors.long_term import (
    init_long_term,
    predict_long_term,
    run_long_term,
    update_long_term,
)
from runtime.errors import ConfigError, DataError
from tests.models.predictors.signals import noise
from tests.models.predictors.test_bank import NONE, SMALL

CONFIG = LongTermConfig(block=512, lags=2, warmup=128)
BANK = dataclasses.replace(SMALL, long_term=CONFIG)
COMBINED = len(SMALL.combination.decays)
LAG = 1500
FRAMES = 5000


def repeated(seed=1, frames=FRAMES):
    """Noise that comes again after LAG frames, with a little noise of its own."""
    once = noise(LAG, seed, 3000)
    return np.tile(once, -(-frames // LAG))[:frames] + noise(frames, seed + 1, 30)


def lags_of(frames=FRAMES, *lags):
    """The lags from the first block on where they are known."""
    rows = np.zeros((-(-frames // CONFIG.block), 2), np.int64)
    for k, lag in enumerate(lags):
        rows[-(-lag // CONFIG.block) :, k] = lag
    return rows


def with_lags(channels, lags, config=BANK):
    """Returns the bank's predictions and the final ones of each channel, and the last state."""
    results, before, other = [], None, NONE
    for samples in channels:
        bank = init_bank(config, 16, stereo=other.size > 0)
        offsets = np.empty((samples.size, SMALL.num_experts + COMBINED), np.float32)
        bank_base, base = np.empty(samples.size), np.empty(samples.size)
        run(bank, samples, other, 0, offsets, bank_base)
        state = init_long_term(config, 16, lags, samples.size, before)
        run_long_term(state, samples, bank_base, offsets, base)
        results.append((bank_base, base))
        before, other = state, samples
    return results


def errors(samples, base):
    return np.abs(samples - base)[3000:].mean()


def test_what_comes_again_is_predicted():
    samples = repeated()
    [(bank, base)] = with_lags([samples], lags_of(FRAMES, LAG))
    assert errors(samples, base) < 0.15 * errors(samples, bank)


def test_two_places_are_better_than_one():
    """Each has noise of its own."""
    samples = (repeated() + noise(FRAMES, 7, 600)).astype(np.int32)
    [(_, one)] = with_lags([samples], lags_of(FRAMES, LAG))
    [(_, two)] = with_lags([samples], lags_of(FRAMES, LAG, 2 * LAG))
    assert errors(samples, two) < 0.97 * errors(samples, one)


def test_a_channel_learns_from_that_before_it():
    left, right = noise(FRAMES, 1, 3000), noise(FRAMES, 2, 30)
    right[LAG:] += left[:-LAG]
    (_, _), (bank, base) = with_lags([left, right], lags_of(FRAMES, LAG))
    assert errors(right, base) < 0.1 * errors(right, bank)


def test_errors_of_an_expert_that_changes_slowly_come_again_more_plainly():
    """Coloured noise over a hum that the bank must learn anew: what it errs by is another then."""
    coloured = np.convolve(noise(LAG, 1, 2000), 0.9 ** np.arange(40))[:LAG]
    hum = 3000 * np.sin(np.arange(FRAMES) ** 2 * 1e-5)
    samples = (np.tile(coloured, 4)[:FRAMES] + hum).astype(np.int32)
    worst, best = (
        errors(samples, with_lags([samples], lags_of(FRAMES, LAG), bank)[0][1])
        for bank in (
            dataclasses.replace(SMALL, long_term=dataclasses.replace(CONFIG, reference=expert))
            for expert in (SMALL.num_experts - 1, 0)
        )
    )
    assert best < 0.95 * worst, (best, worst)


def test_the_reference_is_an_expert():
    with pytest.raises(ConfigError, match=f"one of {SMALL.num_experts} experts, got 99"):
        dataclasses.replace(SMALL, long_term=LongTermConfig(reference=99))


def test_without_lags_the_base_is_the_banks():
    samples = repeated()
    [(bank, base)] = with_lags([samples], lags_of(FRAMES))
    assert np.array_equal(bank, base)
    lags = lags_of(FRAMES, LAG)
    lags[6:] = 0
    [(bank, base)] = with_lags([samples], lags)
    none = np.repeat(lags[:, 0] == 0, CONFIG.block)[:FRAMES]
    assert np.array_equal(bank[none], base[none])
    assert not np.array_equal(bank[~none], base[~none])


def test_sample_by_sample():
    samples, lags = repeated(), lags_of(FRAMES, LAG, 2 * LAG)
    [(_, expected)] = with_lags([samples], lags)
    bank, base = init_bank(SMALL, 16), np.empty(FRAMES)
    state = init_long_term(BANK, 16, lags, FRAMES)
    offsets = np.empty(SMALL.num_experts + COMBINED, np.float32)
    for t, sample in enumerate(samples.tolist()):
        prediction = predict(bank)
        show(bank, prediction, offsets)
        base[t] = predict_long_term(state, prediction, offsets)
        update_long_term(state, float(sample))
        update(bank, float(sample))
    assert np.array_equal(base, expected)


@pytest.mark.parametrize("at", [100, 2047, 2048, 3333])
def test_a_sample_changes_only_what_comes_after(at):
    samples, lags = repeated(), lags_of(FRAMES, LAG)
    lags[7:, 1] = 3  # The nearest that there may be.
    changed = samples.copy()
    changed[at] += 1000
    before, after = (with_lags([signal], lags)[0][1] for signal in (samples, changed))
    assert np.array_equal(before[: at + 1], after[: at + 1])
    assert not np.array_equal(before[at + 1 :], after[at + 1 :])


def test_silence_and_extremes():
    loud = np.where(np.arange(FRAMES) % 2, 32767, -32768).astype(np.int32)
    for samples in (np.zeros(FRAMES, np.int32), loud, np.where(repeated() > 0, loud, 0)):
        for _, base in with_lags([samples, samples], lags_of(FRAMES, LAG, 700)):
            assert np.isfinite(base).all()
            assert base.min() >= -32768 and base.max() <= 32767


@pytest.mark.parametrize("frames", [0, 1, 511, 512, 513])
def test_short_segments(frames):
    lags = np.zeros((-(-frames // CONFIG.block), 2), np.int64)
    lags[1:] = 400
    [(_, base)] = with_lags([noise(frames, 1)], lags)
    assert base.size == frames and np.isfinite(base).all()


@pytest.mark.parametrize("lag", [-1, 1, 2, 2 * 512 + 1])
def test_a_lag_that_nothing_is_known_of_is_refused(lag):
    lags = lags_of(FRAMES)
    lags[2, 1] = lag
    with pytest.raises(DataError, match=f"block 2 must be .* got {lag}"):
        init_long_term(BANK, 16, lags, FRAMES)


@pytest.mark.both_stacks
def test_the_same_bits_everywhere():
    """This number changes only with a new version of the codec's format."""
    left = repeated()
    right = (left // 2 + noise(FRAMES, 8, 500)).astype(np.int32)
    bases = [base for _, base in with_lags([left, right], lags_of(FRAMES, LAG, 2 * LAG))]
    assert hashlib.sha256(b"".join(base.tobytes() for base in bases)).hexdigest() == GOLDEN


GOLDEN = "c470782b170c9506f6403d60c6b8d4994e72c41bae106ad99041d16e647d9568"
