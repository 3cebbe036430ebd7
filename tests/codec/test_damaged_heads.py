"""A damaged head costs nothing, and a damaged segment is read up to the damage."""

import io
import itertools

import numpy as np
import pytest
import soundfile

import codec
from codec import decoder
from codec.blocks import CRC_BYTES, read_head
from codec.checksums import checksum_places, count_checksums
from codec.decoder import open_compressed
from codec.seek import slice_parts
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.codec.test_checksums import RATE, SIGNALS, compress, format_of
from tests.codec.test_damage import blocks_of, packed, recover, source
from tests.wav_files import write_wav

__all__ = ["packed", "source"]  # Fixtures.

SEGMENT = 16_384


def changed(data: bytes, start: int, end: int, seed: int = 0) -> bytes:
    """The bytes, each of these another one."""
    rng = np.random.default_rng(seed)
    other = bytes(x ^ int(rng.integers(1, 256)) for x in data[start:end])
    return data[:start] + other + data[end:]


def heads(data: bytes) -> list[tuple[int, int]]:
    """Where the head of each block begins and ends."""
    parts = blocks_of(data)
    ends = itertools.accumulate(map(len, parts), initial=len(data) - sum(map(len, parts)))
    sizes = []
    for part in parts:
        file = io.BytesIO(part)
        read_head(file)
        sizes.append(file.tell())
    return [(start, start + size) for start, size in zip(ends, sizes, strict=False)]


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> tuple[bytes, bytes]:
    """A WAV, and what becomes of it: two segments with checksums."""
    path = tmp_path_factory.mktemp("audio") / "a.wav"
    content = write_wav(path, SIGNALS["stereo"], Encoding.S16, sample_rate=RATE)
    return content, compress(content, SEGMENT)


def test_a_damaged_head_costs_nothing(source, packed):
    """Of any block: the bytes around the frames, each segment and the end."""
    places = [
        (start + a, start + b)
        for start, end in heads(packed)
        for a, b in itertools.combinations(range(end - start + 1), 2)
    ]
    assert len(places) > 60
    for seed, (start, end) in enumerate(places):
        damaged = changed(packed, start, end, seed)
        found, told = recover(damaged)
        assert found == source, (start, end, told)
        assert told == [
            told[0],
            "nothing is lost: the hash of the source matches",
        ]
        assert "only the head of a block is damaged, what it holds is intact" in told[0]
    with pytest.raises(DataError, match="all 5 segments are intact"):
        codec.verify(damaged, small_model())


def test_two_heads_are_not_guessed(source, packed):
    """Where two blocks follow each other that nothing names, neither is given back."""
    found, told = recover(changed(changed(packed, *heads(packed)[1]), *heads(packed)[2]))
    assert len(found) == len(source) and "2 of 5 segments lost" in told[-1]


@pytest.mark.parametrize("number", [0, 1])
def test_a_segment_without_head_and_crc_comes_back_to_its_last_checksum(long, number):
    content, data = long
    start, end = heads(data)[number]
    damaged = changed(data, start, end + CRC_BYTES)
    found, told = recover(damaged)
    format_, block = format_of(data), blocks_of(data)[number]
    count = count_checksums(len(block) - (end - start) - CRC_BYTES, format_, number)
    frame = number * SEGMENT + checksum_places(count, format_, number)[-1]
    size = 44 + 4 * frame
    assert count and found[:size] == content[:size]
    assert told[-1].startswith("1 of 2 segments damaged")


def test_what_is_before_the_damage_is_read(long):
    content, data = long
    start, _ = heads(data)[1]
    block = blocks_of(data)[1]
    for damaged in (
        changed(data, start + len(block) - 100, start + len(block) - 90),
        changed(data, *heads(data)[1]),
        data[: start + len(block) * 9 // 10],
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
