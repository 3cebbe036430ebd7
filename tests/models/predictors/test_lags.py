"""Lags are written in few bits, and read as they were."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.predictors.config import LongTermConfig
from models.predictors.lags import count_blocks, least_lag, pack_lags, unpack_lags
from runtime.errors import DataError

CONFIG = LongTermConfig(block=64, lags=2)
FRAMES = 64 * 20 + 7


@st.composite
def some_lags(draw):
    frames = draw(st.integers(0, FRAMES))
    rows = np.zeros((count_blocks(frames, CONFIG), CONFIG.lags), np.int64)
    for block in range(1, rows.shape[0]):
        for k in range(CONFIG.lags):
            new = st.integers(least_lag(CONFIG), 64 * block)
            rows[block, k] = draw(st.just(0) | st.just(int(rows[block - 1, k])) | new)
    return frames, rows


@given(some_lags())
def test_they_come_back(case):
    frames, lags = case
    data = pack_lags(lags, frames, CONFIG)
    assert np.array_equal(unpack_lags(data, frames, CONFIG), lags)


def test_few_bits():
    lags = np.zeros((21, 2), np.int64)
    assert pack_lags(lags, FRAMES, CONFIG) == b""
    lags[5:, 0] = 100
    # A bit a block; where they change, 2 and 9 of a place among 5 * 64 - 2, and 1 for the other.
    assert len(pack_lags(lags, FRAMES, CONFIG)) == (21 + 2 + 1 + 9 + 7) // 8


@given(st.binary(max_size=60), st.integers(0, FRAMES))
def test_bytes_are_lags_or_refused(data, frames):
    try:
        lags = unpack_lags(data, frames, CONFIG)
    except DataError:
        return
    assert pack_lags(lags, frames, CONFIG) == data


def test_damage_is_named():
    lags = np.zeros((21, 2), np.int64)
    lags[5:, 0] = 100
    data = pack_lags(lags, FRAMES, CONFIG)
    for wrong in (data[:-1], data + b"\0"):
        with pytest.raises(DataError, match=r"bytes of lags|the lags end"):
            unpack_lags(wrong, FRAMES, CONFIG)
    with pytest.raises(DataError, match="shape"):
        pack_lags(lags, FRAMES + 64, CONFIG)
