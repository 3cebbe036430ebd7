"""Whatever a file holds, and whatever it is called, it comes back."""

import io
import struct

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from pipeline.wav.encoding import Encoding
from tests.codec.models import small_model
from tests.codec.test_hostile import HOSTILE
from tests.pipeline.test_bad_input import SKIPPED, USED
from tests.wav_files import encode, fmt_chunk, random_frames, wav_bytes

SEGMENT = 40
BAD_INPUT = {name: content for name, (content, *_) in {**USED, **SKIPPED}.items()}


def there_and_back(data: bytes, num_threads: int = 1) -> bytes:
    models = [small_model()]
    source = io.BytesIO(data)
    parts = compress_parts(source, len(data), models, segment=SEGMENT, num_threads=num_threads)
    opened = open_compressed(io.BytesIO(b"".join(parts)), models)
    return b"".join(decompress_parts(opened, num_threads=num_threads))


def settings(examples: int):
    return hypothesis.settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )


@st.composite
def payloads(draw) -> tuple[Encoding, int, bytes]:
    """Samples of any kind."""
    encoding = draw(st.sampled_from(Encoding))
    channels = draw(st.sampled_from([1, 1, 2, 2, 3, 6, 64]))
    count = draw(st.sampled_from([0, 1, SEGMENT, 3 * SEGMENT]) | st.integers(0, 3 * SEGMENT))
    seed = draw(st.integers(0, 99))
    frames = random_frames(encoding, count, channels, seed)
    kind = draw(st.sampled_from(["noise", "quiet", "alike", "stretched", "any bits"]))
    if kind == "any bits":
        return (
            encoding,
            channels,
            np.random.default_rng(seed).bytes(frames.size * encoding.bytes_per_sample),
        )
    if kind == "alike":
        frames = frames[:, np.random.default_rng(seed).integers(channels, size=channels)]
        frames[: count // 2] = frames[:1]
    elif encoding.depth >= 16 and not encoding.is_float and encoding.bytes_per_sample > 1:
        shift = draw(st.integers(0, encoding.depth - 2))
        frames = frames >> shift if kind == "quiet" else frames >> shift << shift
    elif encoding.is_float:
        frames = np.round(frames * 2.0 ** draw(st.integers(1, 15))) / 2.0 ** draw(
            st.integers(1, 31)
        )
    return encoding, channels, encode(frames, encoding)


CHUNKS = st.lists(
    st.tuples(
        st.sampled_from([b"LIST", b"bext", b"id3 ", b"fact", b"\0\0\0\0"]), st.binary(max_size=9)
    ),
    max_size=3,
)
SIZES = st.none() | st.sampled_from([0, 1, 2**31 - 1, 2**32 - 1]) | st.integers(0, 2**32 - 1)


@hypothesis.given(
    payload=payloads(),
    container=st.sampled_from(["RIFF", "RIFF", "RF64", "BW64"]),
    extensible=st.booleans(),
    around=st.tuples(CHUNKS, CHUNKS, CHUNKS),
    pad=st.booleans(),
    riff_size=SIZES,
    data_size=SIZES,
    cut=st.none() | st.integers(1, 80),
    trailing=st.binary(max_size=20),
    num_threads=st.sampled_from([1, 3]),
)
@settings(40)
def test_any_wav(
    payload, container, extensible, around, pad, riff_size, data_size, cut, trailing, num_threads
):
    encoding, channels, samples = payload
    fmt = fmt_chunk(encoding, channels, 8000, extensible)
    chunks = [*around[0], (b"fmt ", fmt), *around[1], (b"data", samples), *around[2]]
    container = "RIFX" if encoding.is_big_endian else container
    data = wav_bytes(chunks, container, pad)
    order = ">" if container == "RIFX" else "<"
    if riff_size is not None:
        data = data[:4] + struct.pack(f"{order}I", riff_size) + data[8:]
    if data_size is not None:
        at = data.index(b"data") + 4
        data = data[:at] + struct.pack(f"{order}I", data_size) + data[at + 4 :]
    data = (data[:-cut] if cut else data) + trailing
    assert there_and_back(data, num_threads) == data


@hypothesis.given(
    st.binary(max_size=300), st.sampled_from([b"", b"RIFF", b"RIFF\x24\0\0\0WAVEfmt "])
)
@settings(40)
def test_any_bytes(data, beginning):
    assert there_and_back(beginning + data) == beginning + data


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(name):
    assert there_and_back(BAD_INPUT[name]) == BAD_INPUT[name]


def test_files_that_are_cut_anywhere():
    whole = BAD_INPUT["RF64"]
    for end in range(0, len(whole), 7):
        assert there_and_back(whole[:end]) == whole[:end]


@pytest.mark.parametrize("name", HOSTILE)
def test_compressed_files_are_sources_like_others(name):
    assert there_and_back(HOSTILE[name][0]) == HOSTILE[name][0]


def test_a_chunk_as_long_as_many_segments_before_the_samples():
    chunks = [(b"JUNK", bytes(3 * 2**20)), (b"fmt ", fmt_chunk(Encoding.S16, 1)), (b"data", b"ab")]
    data = wav_bytes(chunks)
    assert there_and_back(data) == data
