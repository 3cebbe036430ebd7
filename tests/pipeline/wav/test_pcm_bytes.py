"""Samples as the bytes of a WAV payload."""

import numpy as np
import pytest

from pipeline.wav.pcm_bytes import pcm_bytes

pytestmark = pytest.mark.both_stacks


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (8, "00 7f 80 ff"),
        (16, "80ff ffff 0000 7f00"),
        (24, "80ffff ffffff 000000 7f0000"),
        (32, "80ffffff ffffffff 00000000 7f000000"),
    ],
)
def test_bytes_are_little_endian_and_8_bits_unsigned(depth, expected):
    samples = np.array([[-128, -1], [0, 127]], np.int32)
    assert pcm_bytes(samples, depth) == bytes.fromhex(expected)
    transposed = np.asfortranarray(samples)
    assert pcm_bytes(transposed, depth) == bytes.fromhex(expected)
