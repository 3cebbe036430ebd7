"""Parts of a damaged file are read up to the damage, and no more is decoded than is needed."""

import io

import numpy as np
import pytest
import soundfile

import codec
from codec import decoder
from codec.blocks import CRC_BYTES
from codec.decoder import open_compressed
from codec.seek import slice_parts
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.codec.test_checksums import RATE
from tests.codec.test_damage import blocks_of
from tests.codec.test_damaged_heads import SEGMENT, changed, heads, long

__all__ = ["long"]  # A fixture.


def test_what_is_before_the_damage_is_read(long):
    content, data = long
    start, _ = heads(data)[1]
    size = len(blocks_of(data)[1])
    for damaged in (
        changed(data, start + size - 100, start + size - 90),
        changed(data, *heads(data)[1]),
        data[: start + size * 9 // 10],
    ):
        given = {"model": small_model(), "dtype": "int16"}
        expected, _ = soundfile.read(io.BytesIO(content), dtype="int16")
        for first, stop in ((SEGMENT, SEGMENT + 5000), (100, SEGMENT + 1), (20_000, 20_001)):
            found, _ = codec.read(damaged, start=first, stop=stop, **given)
            np.testing.assert_array_equal(found, expected[first:stop])
            opened = open_compressed(io.BytesIO(damaged), [small_model()])
            parts = slice_parts(opened, first / RATE, (stop - first) / RATE)
            found, _ = soundfile.read(io.BytesIO(b"".join(parts)), dtype="int16")
            np.testing.assert_array_equal(found, expected[first:stop])
        with codec.SoundFile(damaged, model=small_model()) as file:
            np.testing.assert_array_equal(file.read(20_000, "int16"), expected[:20_000])
            np.testing.assert_array_equal(file.read(1000, "int16"), expected[20_000:21_000])
            if damaged[: start + 10] != data[: start + 10]:
                assert len(file.read()) == len(expected) - 21_000  # The head alone is damaged.
                continue
            with pytest.raises(DataError, match=r"intact up to 0:00:\d\d\.\d{3}: a part"):
                file.read()


def test_no_more_is_decoded_than_is_asked_for(long, monkeypatch):
    content, data = long
    expected, _ = soundfile.read(io.BytesIO(content), dtype="int16")
    decoded = []

    def counted(*args, **given):
        for part in decode_frames(*args, **given):
            decoded.append(len(part) // 4)
            yield part

    decode_frames = decoder.decode_frames
    monkeypatch.setattr(decoder, "decode_frames", counted)
    given = {"model": small_model(), "dtype": "int16"}
    for start, count, most in (
        (0, 1000, 8192),
        (SEGMENT + 5, 1000, 8192),
        (SEGMENT - 9, 10, 26_000),
    ):
        decoded.clear()
        found, _ = codec.read(data, start=start, frames=count, **given)
        np.testing.assert_array_equal(found, expected[start : start + count])
        assert count <= sum(decoded) <= most
    # Reads that follow each other decode a segment once, but for the first of them.
    decoded.clear()
    with codec.SoundFile(data, model=small_model()) as file:
        blocks = list(file.blocks(700, dtype="int16"))
    np.testing.assert_array_equal(np.concatenate(blocks), expected)
    assert sum(decoded) <= len(expected) + 8192


def test_a_segment_of_which_nothing_is_intact_is_named(long):
    _, data = long
    _, end = heads(data)[1]
    damaged = changed(data, end + CRC_BYTES, end + CRC_BYTES + 40)
    message = r"damaged \(segment 2 of 2, 0:00:16\.384 to 0:00:32\.000\)$"
    with pytest.raises(DataError, match=message):
        codec.read(damaged, start=SEGMENT, frames=10, model=small_model())


def test_the_first_segment_that_is_damaged_is_named(long):
    """Not the one behind it, of which there is nothing."""
    _, data = long
    damaged = data[: heads(data)[1][0] - 100]
    with (
        codec.SoundFile(damaged, model=small_model(), num_threads=2) as file,
        pytest.raises(DataError, match=r"segment 1 of 2, .*; intact up to 0:00:\d"),
    ):
        file.read()


def test_parts_of_a_spliced_file_are_refused(long):
    _, data = long
    first, second, end = blocks_of(data)
    spliced = data[: data.index(first)] + second + first + end
    with pytest.raises(DataError, match=r"segment 1 of 2, .* is not where it should be"):
        codec.read(spliced, frames=10, model=small_model())
