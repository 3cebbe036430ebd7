"""The encoder's search: what comes again is found, and nothing else."""

import numpy as np
import pytest

from models.predictors.config import LongTermConfig
from models.predictors.lag_search import LagSearch, find_lags
from models.predictors.lags import check_lags
from tests.models.predictors.signals import noise

CONFIG = LongTermConfig(block=512, lags=2)


def floats(*args):
    return noise(*args).astype(np.float64)


def test_places_are_found():
    """Two: one that explains most of a block, and another one that explains what is left."""
    errors = floats(9000, 1, 1000)
    errors[6144:8192] = 0.9 * errors[1000:3048] - 0.5 * errors[2500:4548] + floats(2048, 2, 200)
    lags = find_lags(errors[None], CONFIG)
    assert (lags[12:16] == [6144 - 1000, 6144 - 2500]).all()
    assert not lags[:12].any() and not lags[16:].any()


def test_channels_count_together():
    left, right = floats(6000, 1), floats(6000, 2)
    right[4096:] = right[296 : 296 + 1904]
    assert (find_lags(np.stack([left, right]), CONFIG)[8:11, 0] == 3800).all()
    assert not find_lags(left[None], CONFIG).any()


def test_the_nearest_of_equal_places_is_no_nearer_than_a_block():
    lags = find_lags(np.tile(floats(100, 1), 60)[None], CONFIG)
    assert (lags[2:, 0] > 0).all() and (lags[2:, 0] % 100 == 0).all()
    assert lags[lags > 0].min() >= CONFIG.block


@pytest.mark.parametrize("frames", [0, 1, 511, 512, 1025])
def test_short_segments(frames):
    errors = floats(frames, 1)[None]
    assert not check_lags(find_lags(errors, CONFIG), frames, CONFIG).any()


def test_silence_is_like_nothing():
    errors = np.zeros((1, 5000))
    assert not find_lags(errors, CONFIG).any()
    errors[0, 3000:] = floats(2000, 1)
    assert not find_lags(errors, CONFIG).any()


def test_an_attack_is_not_like_another():
    """A few loud samples would rule the correlation."""
    errors = floats(8192, 1, 100)
    for start in (1000, 3000, 5000, 7000):
        errors[start : start + 50] *= 200
    assert not find_lags(errors[None], CONFIG).any()


def test_far_back_over_many_transforms():
    errors = floats(140_000, 1)
    errors[131_072:] = errors[5_000 : 5_000 + 140_000 - 131_072]
    lags = find_lags(errors[None], CONFIG)
    assert (lags[256:-1, 0] == 131_072 - 5_000).all()
    assert np.array_equal(lags, find_lags(errors[None], CONFIG))


@pytest.mark.parametrize("stretch", [1000, 32_768 - 512, 70_000])
def test_stretch_by_stretch(stretch):
    """Lags of a block are found once they are decided, and are those of the whole."""
    errors = np.stack([floats(100_000, 1), floats(100_000, 2)])
    errors[:, 60_000:] += 2 * errors[:, 3_000:43_000]
    search = LagSearch(CONFIG, *errors.shape)
    for start in range(0, errors.shape[1], stretch):
        known = min(start + stretch, errors.shape[1])
        search.add(errors[:, start:known])
        decided = (known - 16) // CONFIG.block
        assert not search.lags[decided:].any() or known == errors.shape[1]
        assert decided < 140 or search.lags[decided - 1].any()
    assert np.array_equal(search.lags, find_lags(errors, CONFIG))
