"""Samples that were scaled up, and how many bits they have."""

import numpy as np
import pytest

from models.native_scale import common_zeros, least_depth


@pytest.mark.parametrize(
    ("samples", "zeros"),
    [
        ([0, 256, -512], 8),
        ([3, 4], 0),
        ([-(2**31)], 31),
        ([0, 0], 0),
        ([], 0),
        ([[8, 16], [4, 0]], 2),
    ],
)
def test_common_zeros(samples, zeros):
    assert common_zeros(np.array(samples, np.int32)) == zeros


def test_the_type_does_not_matter():
    for dtype in (np.int8, np.int16, np.int32, np.int64):
        assert common_zeros(np.array([-128, 64], dtype)) == 6


@pytest.mark.parametrize(
    ("samples", "depth"),
    [([], 8), ([127, -128], 8), ([128], 16), ([-129], 16), ([-(2**23)], 24), ([2**23], 32)],
)
def test_least_depth(samples, depth):
    assert least_depth(np.array(samples, np.int32)) == depth
