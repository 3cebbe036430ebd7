"""Parts of a compressed file, without what is before them."""

import io

import numpy as np
import pytest
import soundfile

from codec.decoder import open_compressed
from codec.encoder import compress_parts
from codec.seek import SeekableFile, slice_parts
from pipeline.wav.encoding import Encoding
from runtime.errors import ConfigError, DataError
from tests.codec.models import small_model
from tests.codec.test_roundtrip import wav_bytes
from tests.models.exact.test_stream import stereo

RATE = 44100  # Of `wav_bytes`.


def opened(frames, encoding=Encoding.S16, segment=500):
    data = wav_bytes(frames, encoding)
    packed = b"".join(compress_parts(io.BytesIO(data), len(data), [small_model()], segment=segment))
    return open_compressed(io.BytesIO(packed), [small_model()])


def slice_of(file, start, duration):
    return b"".join(slice_parts(file, start / RATE, duration / RATE, num_threads=2))


@pytest.fixture(scope="module")
def source():
    return stereo(1700)


@pytest.mark.parametrize(("first", "count"), [(0, 1700), (0, 1), (499, 2), (500, 500), (1699, 1)])
def test_any_frames(source, first, count):
    file = SeekableFile(opened(source))
    data = b"".join(file.payload(first, count))
    np.testing.assert_array_equal(
        np.frombuffer(data, np.int16).reshape(-1, 2), source[first : first + count]
    )


def test_only_what_is_needed_is_decoded(source):
    """Damage elsewhere does not matter."""
    file = opened(source)
    data = bytearray(file.file.getvalue())
    data[100] ^= 1  # In the first segment.
    damaged = open_compressed(io.BytesIO(bytes(data)), [small_model()])
    read, _ = soundfile.read(io.BytesIO(slice_of(damaged, 600, 700)), dtype="int16")
    np.testing.assert_array_equal(read, source[600:1300])
    with pytest.raises(DataError, match="segment 1 of 4"):
        slice_of(damaged, 400, 200)


@pytest.mark.parametrize("is_truncated", [False, True])
def test_heads_that_are_damaged_elsewhere_do_not_matter(source, is_truncated):
    file = opened(source)
    data = bytearray(file.file.getvalue())
    third = SeekableFile(file)._offsets[2]
    if is_truncated:
        del data[third + 20 :]
    else:
        data[third] ^= 4  # In the length.
        data[third + 40] ^= 4
    damaged = open_compressed(io.BytesIO(bytes(data)), [small_model()])
    read, _ = soundfile.read(io.BytesIO(slice_of(damaged, 100, 860)), dtype="int16")
    np.testing.assert_array_equal(read, source[100:960])
    damaged = open_compressed(io.BytesIO(bytes(data)), [small_model()])
    with pytest.raises(DataError, match="no intact block holds segment 3 of 4, 0:00"):
        slice_of(damaged, 1000, 100)
    if not is_truncated:
        damaged = open_compressed(io.BytesIO(bytes(data)), [small_model()])
        assert len(slice_of(damaged, 1500, 200)) == 44 + 800


@pytest.mark.parametrize("encoding", Encoding)
def test_a_part_is_a_wav_of_the_same_samples(encoding):
    frames = stereo(90)
    if encoding.is_float:
        frames = frames / 2**15
    elif encoding in (Encoding.U8, Encoding.ALAW, Encoding.MULAW):
        frames = frames % 256
    whole, _ = soundfile.read(io.BytesIO(wav_bytes(frames, encoding)), dtype="float64")
    part = slice_of(opened(frames, encoding), 11, 33)
    found, rate = soundfile.read(io.BytesIO(part), dtype="float64")
    assert rate == RATE
    np.testing.assert_array_equal(found, whole[11:44])


def test_times_that_are_not_there(source):
    for start, duration in [(1700, None), (5, 0.0)]:
        with pytest.raises(ConfigError, match=r"no frames there, the file is 0\.039 s long"):
            b"".join(slice_parts(opened(source), start / RATE, duration))
    # Beyond the end there is nothing, and no error.
    assert len(slice_of(opened(source), 1600, 10**6)) == 44 + 400
    data = b"no audio"
    packed = b"".join(compress_parts(io.BytesIO(data), len(data), [small_model()]))
    with pytest.raises(DataError, match="no frames in it"):
        SeekableFile(open_compressed(io.BytesIO(packed), []))
