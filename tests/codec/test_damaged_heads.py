"""A damaged head costs nothing, and a head that looks intact does not mislead."""

import contextlib
import io
import itertools

import numpy as np
import pytest
import soundfile

import codec
from codec.blocks import CRC_BYTES, Kind, block, read_block, read_head
from codec.checksums import checksum_places, count_checksums
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.codec.test_checksums import RATE, SIGNALS, compress, format_of
from tests.codec.test_damage import blocks_of, damage, packed, recover, source
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


def kept_of(data: bytes, number: int) -> int:
    """The first frame behind the last checksum of a segment."""
    format_, part = format_of(data), blocks_of(data)[number]
    size = len(read_block(io.BytesIO(part)).payload)
    count = count_checksums(size, format_, number)
    return number * SEGMENT + checksum_places(count, format_, number)[-1]


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
    frame = kept_of(data, number)
    size = 44 + 4 * frame
    assert found[:size] == content[:size]
    assert told[-1].startswith("1 of 2 segments damaged")


def test_damage_over_the_end_of_a_block_costs_nothing_behind_it(long):
    content, data = long
    start, end = heads(data)[1]
    found, told = recover(changed(data, start - 3, end))
    frame, second = 44 + 4 * kept_of(data, 0), 44 + 4 * SEGMENT
    assert found[:frame] == content[:frame] and found[second:] == content[second:]
    assert not any(found[frame:second])
    assert [text.split(": ")[1] for text in told[:2]] == [
        "no intact block",
        "only the head of a block is damaged, what it holds is intact",
    ]
    # Without its CRC, too, it comes back to its last checksum.
    found, _ = recover(changed(data, start - 3, end + CRC_BYTES))
    last = 44 + 4 * kept_of(data, 1)
    assert found[:frame] == content[:frame] and found[second:last] == content[second:last]


@pytest.mark.parametrize(("segment", "factor"), [(0, 0.4), (0, 1.6), (1, 1), (1, 1.6)])
def test_a_damaged_head_that_looks_intact_does_not_mislead(long, segment, factor):
    """As one of 256 does: its check byte is right, its length or segment is not."""
    content, data = long
    start, end = heads(data)[0]
    payload = read_block(io.BytesIO(data[start:])).payload
    other = block(Kind.FRAMES, segment, bytes(int(factor * len(payload))))[: end - start]
    assert read_head(io.BytesIO(other)).segment == segment
    forged = data[:start] + other + data[end:]
    assert recover(forged)[0] == content
    expected, _ = soundfile.read(io.BytesIO(content), dtype="int16")
    given = {"model": small_model(), "dtype": "int16"}
    np.testing.assert_array_equal(codec.read(forged, **given)[0], expected)
    # Where the CRC is damaged, too, the checksums say where it is.
    forged = changed(forged, end, end + CRC_BYTES)
    frame = kept_of(data, 0)
    assert (
        recover(forged)[0]
        == content[: 44 + 4 * frame].ljust(44 + 4 * SEGMENT, b"\0") + (content[44 + 4 * SEGMENT :])
    )
    np.testing.assert_array_equal(codec.read(forged, stop=frame, **given)[0], expected[:frame])


def test_the_head_of_a_segment_that_no_model_codes(tmp_path):
    noise = np.random.default_rng(0).standard_normal((300, 1))
    content = write_wav(tmp_path / "a.wav", noise, Encoding.F32, sample_rate=RATE)
    data = compress(content, 96)
    kinds = [read_block(io.BytesIO(part)).kind for part in blocks_of(data)]
    for (start, end), kind in zip(heads(data), kinds, strict=True):
        if kind is Kind.FRAMES_AS_BYTES:
            assert recover(changed(data, start, end))[0] == content
    assert kinds.count(Kind.FRAMES_AS_BYTES) == 4


def test_random_damage_never_gives_wrong_samples(long):
    """What is recovered or read is the source's, or silence, or refused."""
    content, data = long
    expected, _ = soundfile.read(io.BytesIO(content), dtype="int16")
    rng, kept, read = np.random.default_rng(2), 0, 0
    borders = [place for head in heads(data) for place in head]
    for k in range(30):
        damaged = data
        for _ in range(rng.integers(1, 3)):
            place = int(rng.choice(borders) + rng.integers(-9, 9)) if k % 3 else None
            damaged, _ = damage(damaged, rng, place)
        with contextlib.suppress(DataError):
            found = np.frombuffer(recover(damaged)[0][44 : 44 + expected.nbytes], np.int16)
            is_right = (found.reshape(-1, 2) == expected).all(axis=1)
            assert not found.reshape(-1, 2)[~is_right].any()
            kept += is_right.mean() > 0.2
        first = int(rng.integers(len(expected) - 3000))
        with contextlib.suppress(DataError):
            part, _ = codec.read(
                damaged, start=first, frames=3000, model=small_model(), dtype="int16"
            )
            np.testing.assert_array_equal(part, expected[first : first + 3000])
            read += 1
    assert kept > 15 and read > 10
