"""Of a damaged segment what is before the damage is given back, and nothing that is wrong."""

import dataclasses
import io
import itertools
import re
import struct
from typing import NamedTuple

import numpy as np
import pytest

from codec.blocks import Kind, block, read_block
from codec.checksums import CHECKSUM_BYTES, checksum_places, count_checksums
from codec.damage import assess_damage
from codec.encoder import compress_parts
from codec.header import Format, read_header
from codec.segments import encode_segment
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.codec.test_damage import decompress, recover
from tests.wav_files import write_wav

RATE = 1000


def loud(frames: int, seed: int, bits: int = 11) -> np.ndarray:
    return np.random.default_rng(seed).integers(-(2**bits), 2**bits, frames)


SIGNALS = {
    "mono": loud(64_000, 1)[:, None],
    "stereo": np.stack([loud(32_000, 1), loud(32_000, 2)], 1),
    "unequal": np.stack([loud(50_000, 1), loud(50_000, 2, 3)], 1),
    "three": np.stack([loud(26_000, k) for k in (1, 2, 3)], 1),
}
# Bytes that other channels are given before the last one is given any of the same time.
AHEAD = {"mono": 64, "stereo": 20 * 2**10, "unequal": 20 * 2**10, "three": 46 * 2**10}


class Files(NamedTuple):
    name: str
    frames: np.ndarray
    source: bytes
    packed: bytes  # Of one segment.
    format: Format


@pytest.fixture(scope="module", params=SIGNALS)
def files(request, tmp_path_factory) -> Files:
    path, frames = tmp_path_factory.mktemp("audio") / "a.wav", SIGNALS[request.param]
    source = write_wav(path, frames, Encoding.S16, sample_rate=RATE)
    packed = compress(source)
    return Files(request.param, frames, source, packed, format_of(packed))


def compress(source: bytes, segment: int | None = None) -> bytes:
    parts = compress_parts(io.BytesIO(source), len(source), [small_model()], segment=segment)
    return b"".join(parts)


def format_of(packed: bytes) -> Format:
    found = read_header(io.BytesIO(packed))
    assert found is not None
    return found


def kept_frames(files: Files, found: bytes, lines: list[str]) -> int:
    """The frames that recovery claims: they are the source's, and silence is behind them."""
    [line] = [line for line in lines if line.endswith(": silence in its place")]
    [(minutes, seconds)] = re.findall(r"0:(\d\d):(\d\d\.\d{3}) to ", line)
    kept = round(RATE * (60 * int(minutes) + float(seconds)))
    size = 44 + files.format.frame_bytes * kept
    assert len(found) == len(files.source) and found[:size] == files.source[:size]
    assert not any(found[size:])
    return kept


def test_undamaged(files):
    assert decompress(files.packed) == files.source
    assert recover(files.packed) == (files.source, [])


@pytest.mark.parametrize(("kind", "count"), [("flip", 8), ("cut", 4), ("zeros", 1)])
def test_what_is_before_the_damage_comes_back(files, kind, count):
    """All of it, up to the last checksum before it."""
    packed, format_ = files.packed, files.format
    [found, _] = blocks_of(packed)
    size = len(found.payload)
    checksums = checksum_places(count_checksums(size, format_, 0), format_, 0)
    most = 0
    for place in [*np.random.default_rng(count).choice(size, count), size - 200]:
        begin = len(packed) - 32 - size + place
        damaged = bytearray(packed)
        if kind == "flip":
            damaged[begin] ^= 1 << place % 8
        elif kind == "cut":
            del damaged[begin:]
        else:
            damaged[begin : begin + 512] = bytes(len(damaged[begin : begin + 512]))
        with pytest.raises(DataError):
            decompress(bytes(damaged))
        before = format_.frames * (place - AHEAD[files.name]) / size
        expected = max((frame for frame in checksums if frame <= before), default=0)
        try:
            kept = kept_frames(files, *recover(bytes(damaged)))
        except DataError as error:
            assert "nothing could be recovered" in str(error)
            kept = 0
        assert kept in (0, *checksums) and kept >= expected
        most = max(kept, most)
    assert most == checksums[-1]


def test_damaged_segments_that_follow_each_other(tmp_path):
    """And intact ones around them: each has its place."""
    source = write_wav(tmp_path / "a.wav", SIGNALS["stereo"], Encoding.S16, sample_rate=RATE)
    packed = compress(source, 16_384)
    starts = [found.offset for found in blocks_of(packed)]
    assert len(starts) == 3  # Of 16,384 and 15,616 frames, and the end.
    damaged = bytearray(packed)
    for start, end in itertools.pairwise(starts):
        damaged[start + (end - start) * 9 // 10] ^= 1
    found, lines = recover(bytes(damaged))
    assert lines[-3:-1] == [
        "segment 1 of 2, 0:00:08.192 to 0:00:16.384: silence in its place",
        "segment 2 of 2, 0:00:24.192 to 0:00:32.000: silence in its place",
    ]
    assert lines[-1] == "2 of 2 segments damaged: 0:00:16.000 of 0:00:32.000 lost"
    expected = np.frombuffer(source[44:], "<i2").reshape(-1, 2).copy()
    expected[8192:16_384] = expected[24_192:] = 0
    assert found[44:] == expected.tobytes()
    text = assess_damage(io.BytesIO(bytes(damaged))).text
    assert text == (
        "2 of 2 segments damaged: 0:00:00.000 to 0:00:32.000; what is before the damage may be "
        "intact"
    )


def blocks_of(packed: bytes) -> list:
    file = io.BytesIO(packed)
    read_header(file)
    found = [read_block(file)]
    while found[-1].kind is not Kind.END:
        found.append(read_block(file))
    return found


def test_they_cost_little_and_nothing_where_there_is_little_to_lose(files):
    format_ = dataclasses.replace(files.format, frames=2**22, segment=2**22)
    for size in range(0, 2**23, 9999):
        count = count_checksums(size, format_, 0)
        assert CHECKSUM_BYTES * count <= size / (8192 if size < 2**19 else 16384)
        assert (count == 0) == (size < 2**15) and count >= size // 2**16
    assert not count_checksums(2**20, dataclasses.replace(format_, probe=bytes(8)), 0)
    [found, _] = blocks_of(files.packed)
    count = count_checksums(len(found.payload), files.format, 0)
    bare = encode_segment(small_model().coder, files.frames.astype(np.int32))
    assert count >= 2 and len(found.payload) == len(bare) + CHECKSUM_BYTES * count
    assert found.payload.endswith(bare)


def test_wrong_samples_are_named_where_blocks_are_intact(files):
    """As of a decoder that computes other numbers."""
    packed = files.packed
    [found, end] = blocks_of(packed)
    first, second = struct.unpack("<2I", found.payload[:8])
    payload = struct.pack("<2I", first, second ^ 1) + found.payload[8:]
    spliced = packed[: found.offset] + block(Kind.FRAMES, 0, payload) + packed[end.offset :]
    count = count_checksums(len(payload), files.format, 0)
    time = checksum_places(count, files.format, 0)[0] / RATE
    with pytest.raises(DataError, match=f"soon after .*{time % 60:.3f} the samples have not"):
        decompress(spliced)
