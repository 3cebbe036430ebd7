"""Files that were made to do harm: they end with an error, and ask for no more than they hold."""

import contextlib
import dataclasses
import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest

from codec.blocks import Kind, block, read_block
from codec.damage import Findings, open_damaged
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.fields import number, signed
from codec.header import Format, end_payload, header
from codec.plain_bytes import pack_bytes
from codec.recover import recover_parts
from codec.segments import encode_segment
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import decode_whole, small_model
from tests.models.exact.test_stream import stereo
from tests.traced_memory import traced_memory
from tests.wav_files import fmt_chunk, wav_bytes

PLAIN = Format(
    fingerprint=small_model().fingerprint,
    encoding=Encoding.S16,
    channels=2,
    sample_rate=8000,
    frames=96,
    segment=96,
)
MIB = 2**20


def decompress(data: bytes) -> bytes:
    return b"".join(decompress_parts(open_compressed(io.BytesIO(data), [small_model()])))


def recover(data: bytes) -> bytes:
    found = Findings()
    opened = open_damaged(io.BytesIO(data), [small_model()], (), found)
    return b"".join(recover_parts(opened, found))


def made_of(*blocks: bytes, **changes) -> bytes:
    """A file that is intact, whatever it says."""
    format_ = dataclasses.replace(PLAIN, **changes)
    return header(format_) + b"".join(blocks) + block(Kind.END, 0, end_payload(bytes(16), format_))


def frames(payload: bytes, segment: int = 0) -> bytes:
    return block(Kind.FRAMES, segment, payload)


def peak(function, *arguments) -> int:
    """The memory that a call takes."""
    with traced_memory():
        with contextlib.suppress(DataError):
            function(*arguments)
        return tracemalloc.get_traced_memory()[1]


HUGE_BLOCK = b"\xfd\xff\xff\xff\xff\xff\xff\x0f\0"
HUGE_BLOCK += bytes([zlib.crc32(HUGE_BLOCK) & 255]) + b"what is there"
LONG = {"frames": 5120, "segment": 5120}
BOMB = pack_bytes(bytes(2**26))
VALUES = pack_bytes(bytes(2**22))
CONSTANT = number(1) + signed(5)

# The file, and what is said of it.
HOSTILE = {
    "a block of 2^50 bytes": (made_of(HUGE_BLOCK), "expected at most"),
    "2^60 frames": (made_of(frames=2**60, segment=2**20), "cannot hold: truncated"),
    "2^26 frames of 1,024 channels": (
        made_of(frames=2**26, segment=2**26, channels=1024),
        "what cannot be",
    ),
    "as many in segments that may be": (
        made_of(frames=2**40, segment=2**16, channels=1024),
        "cannot hold: truncated",
    ),
    "a segment of 2^33 frames": (made_of(segment=2**33), "what cannot be"),
    "no rate": (made_of(sample_rate=0), "what cannot be"),
    "bytes that inflate": (made_of(block(Kind.BYTES, 0, BOMB)), "more than 1048576 bytes"),
    "frames that inflate": (
        made_of(block(Kind.FRAMES_AS_BYTES, 0, BOMB), **LONG),
        "more than 20480",
    ),
    "frames that are too few": (made_of(block(Kind.FRAMES_AS_BYTES, 0, b"\0a")), "1 bytes, exp"),
    "values that inflate": (
        made_of(frames(b"\2" + number(len(VALUES)) + VALUES), **LONG),
        "more than 262144 bytes",
    ),
    "lags that are too many": (
        made_of(frames(b"\x08" + number(600) + bytes(600))),
        "600 bytes of lags, expected at most",
    ),
    "too little code": (
        made_of(frames(b"\0"), frames=2**18, segment=2**18),
        "0 bytes of code are too few",
    ),
    "samples that the encoding has not": (
        made_of(frames(b"\4" + (number(1) + signed(300)) * 2), encoding=Encoding.U8),
        "more bits than 8-bit unsigned",
    ),
    "a code that mu-law has not": (
        made_of(frames(b"\4" + (number(1) + signed(300)) * 2), encoding=Encoding.MULAW),
        "more bits than mu-law",
    ),
    "a twin of itself": (made_of(frames(b"\4" + (number(2) + number(0)) * 2)), "is as 0"),
    "frames where there are none": (
        header(None) + frames(b"\4abc") + block(Kind.END, 0, bytes(16)),
        "spliced",
    ),
    "bytes among the frames": (
        made_of(
            frames(b"\4" + CONSTANT * 2), block(Kind.BYTES, 0, b"\0abc"), frames=192, segment=96
        ),
        "not in its place",
    ),
    "an end without a hash": (header(None) + block(Kind.END, 0, b"abc"), "spliced"),
    "another end": (
        made_of(frames(b"\4" + CONSTANT * 2))[:-5] + b"abcde",
        "is damaged",
    ),
    "no payload": (made_of(frames(b"")), "0 are left: truncated"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_in_little_memory(name):
    data, message = HOSTILE[name]
    with pytest.raises(DataError, match=message):
        decompress(data)
    assert peak(decompress, data) < 24 * MIB
    assert peak(recover, data) < 24 * MIB


def test_a_damaged_segment_is_decoded_no_further_than_it_is_right():
    """That says that it has 2^26 samples, and 2^27 bytes of which few are there."""
    long = dataclasses.replace(PLAIN, channels=1, frames=2**26, segment=2**26)
    liar = header(long) + block(Kind.FRAMES, 0, bytes(2**27))
    for count in (40, 2**11, 2**15):
        with pytest.raises(DataError, match="nothing could be recovered"):
            recover(liar[:count])
    assert peak(recover, liar[: 2**11]) < 24 * MIB  # Too few for so many samples.
    # A head in a damaged block says that all of the file is of it, and so do those behind it.
    liars = [block(Kind.FRAMES, k, bytes(2**18))[:40] for k in range(500)]
    between = block(Kind.BYTES, 0, b"\0abc")
    begun = time.process_time()
    found = recover(made_of(between.join(liars), frames=2**20, segment=2**11))
    assert time.process_time() - begun < 20 and found[-2 * 4 :] == bytes(8)


def test_silence_takes_the_memory_of_a_segment():
    """36 MB of it in 90 bytes."""
    count = 2**16
    blocks = [frames(b"\4" + CONSTANT * 2, segment) for segment in range(140)]
    data = made_of(*blocks, frames=140 * count, segment=count)
    assert len(data) < 2000

    def consume() -> None:
        opened = open_compressed(io.BytesIO(data), [small_model()])
        for part in decompress_parts(opened):
            assert len(part) == 4 * count

    assert peak(consume) < 32 * 2 * count


def test_many_channels_take_the_memory_of_four():
    samples = np.zeros((40, 1024), np.int16)
    chunks = [(b"fmt ", fmt_chunk(Encoding.S16, 1024)), (b"data", samples.tobytes())]
    source = wav_bytes(chunks)
    parts = compress_parts(io.BytesIO(source), len(source), [small_model()], segment=2560)
    data = b"".join(parts)
    assert open_compressed(io.BytesIO(data), [small_model()]).format.segment == 10
    assert decompress(data) == source


def test_a_decoder_holds_few_channels_at_once():
    """A channel's predictors take a hundred times as much as 30 of its samples."""
    samples = np.random.default_rng(0).integers(-(2**12), 2**12, (30, 300)).astype(np.int16)
    chunks = [(b"fmt ", fmt_chunk(Encoding.S16, 300)), (b"data", samples.tobytes())]
    source = wav_bytes(chunks)
    data = b"".join(compress_parts(io.BytesIO(source), len(source), [small_model()]))
    assert decompress(data) == source  # Compiles.
    assert peak(decompress, data) < 8 * MIB


def test_segments_are_no_longer_than_a_decoder_allows():
    source = wav_bytes([(b"fmt ", fmt_chunk(Encoding.S16, 2)), (b"data", bytes(400))])
    data = b"".join(compress_parts(io.BytesIO(source), 444, [small_model()], segment=2**40))
    assert decompress(data) == source


def test_what_a_checksum_does_not_catch_is_wrong_samples_or_an_error():
    model = small_model()
    data = encode_segment(model.coder, stereo(600))
    rng = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        damaged[rng.integers(min(len(data), 12))] ^= 1 << rng.integers(8)
        with contextlib.suppress(DataError):
            decode_whole(model.coder, bytes(damaged), 600, 2)
    with pytest.raises(DataError):
        decode_whole(model.coder, b"\x20\x02", 100, 2)


def test_a_block_alone():
    with pytest.raises(DataError, match="truncated"):
        read_block(io.BytesIO(block(Kind.BYTES, 0, b"abc")[:-1]))
    lying = number(2**27 << 2 | Kind.BYTES) + number(0)
    lying += bytes([zlib.crc32(lying) & 255]) + struct.pack("<I", 0)
    with pytest.raises(DataError, match="expected at most 1048577"):
        read_block(io.BytesIO(lying))
