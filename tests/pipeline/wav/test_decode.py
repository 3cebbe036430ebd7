"""Bytes become integers on the scale of their encoding; floats, the nearest integers."""

import io

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipeline.wav.decode import decode
from pipeline.wav.encoding import Encoding
from tests.wav_files import encode, random_frames, write_wav

pytestmark = pytest.mark.both_stacks

DEPTHS = {
    Encoding.U8: 8,
    Encoding.S16: 16,
    Encoding.S24: 24,
    Encoding.S32: 32,
    Encoding.F32: 32,
    Encoding.F64: 32,
    Encoding.S16_BE: 16,
    Encoding.S24_BE: 24,
    Encoding.S32_BE: 32,
    Encoding.F32_BE: 32,
    Encoding.F64_BE: 32,
    Encoding.ALAW: 16,
    Encoding.MULAW: 16,
}


@pytest.fixture(params=["eager", "graph"])
def decoded(request):
    """Frames and depth of a payload, decoded eagerly or as the graph does."""

    def run(payload: bytes, encoding: Encoding, channels: int) -> tuple[np.ndarray, int]:
        arguments = (
            np.frombuffer(payload, np.uint8),
            np.int32(channels),
        )
        if request.param == "eager":
            frames = decode(tf.constant(arguments[0]), encoding, channels)
        else:
            signature = [tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int32)]
            graph = tf.function(lambda payload, c: decode(payload, encoding, c), signature)
            frames = tf.data.Dataset.from_tensors(arguments).map(graph).get_single_element()
        assert frames.dtype == tf.int32
        return frames.numpy(), encoding.depth

    return run


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("encoding", [code for code in Encoding if not code.is_float])
def test_integers_keep_their_scale(decoded, encoding, channels):
    written = random_frames(encoding, 101, channels)
    frames, depth = decoded(encode(written, encoding), encoding, channels)
    assert depth == DEPTHS[encoding]
    np.testing.assert_array_equal(frames, written - (128 if encoding is Encoding.U8 else 0))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("encoding", Encoding)
def test_libsndfile_reads_the_same(decoded, tmp_path, encoding, channels):
    written = random_frames(encoding, 101, channels, seed=1)
    write_wav(tmp_path / "a.wav", written, encoding)
    frames, depth = decoded(encode(written, encoding), encoding, channels)
    assert depth == DEPTHS[encoding]
    if encoding.is_float:
        samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float64", always_2d=True)
        expected = np.clip(np.round(samples * 2**31), -(2**31), 2**31 - 1)
    else:
        samples, _ = soundfile.read(tmp_path / "a.wav", dtype="int32", always_2d=True)
        expected = samples >> (32 - depth)
    np.testing.assert_array_equal(frames, expected)


@pytest.mark.parametrize(
    ("encoding", "subtype"), [(Encoding.ALAW, "ALAW"), (Encoding.MULAW, "ULAW")]
)
def test_all_codes_of_g711(decoded, encoding, subtype):
    codes = bytes(range(256))
    options = {"format": "RAW", "subtype": subtype, "samplerate": 8000, "channels": 1}
    expected, _ = soundfile.read(io.BytesIO(codes), dtype="int16", always_2d=True, **options)
    frames, depth = decoded(codes, encoding, 1)
    assert depth == 16
    np.testing.assert_array_equal(frames, expected)
    # The ends of the scale, as in ITU-T G.711: 13 and 14 bits.
    full_scale = 4032 << 3 if encoding is Encoding.ALAW else 8031 << 2
    assert (frames.min(), frames.max()) == (-full_scale, full_scale)


@pytest.mark.parametrize("encoding", [Encoding.F32, Encoding.F64])
def test_floats_are_rounded_and_clipped(decoded, encoding):
    step = 2.0**-31
    cases = {
        -np.finfo(np.float32).max: -(2**31),
        -1.5: -(2**31),
        -1.0: -(2**31),
        -0.5: -(2**30),
        -0.75 * step: -1,
        -0.0: 0,
        1e-40: 0,
        0.25 * step: 0,
        0.75 * step: 1,
        0.5: 2**30,
        1.0: 2**31 - 1,
        1.5: 2**31 - 1,
        float(np.finfo(np.float32).max): 2**31 - 1,
    }
    payload = encode(np.array([list(cases)]).T, encoding)
    frames, _ = decoded(payload, encoding, 1)
    assert frames[:, 0].tolist() == list(cases.values())


@pytest.mark.parametrize(
    ("encoding", "bits"), [(Encoding.F32, 16), (Encoding.F32, 24), (Encoding.F64, 32)]
)
def test_integers_that_were_written_as_floats_come_back(decoded, encoding, bits):
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    samples = np.random.default_rng(0).integers(low, high, [1000, 1], endpoint=True)
    samples[:5, 0] = low, -1, 0, 1, high
    frames, _ = decoded(encode(samples / 2 ** (bits - 1), encoding), encoding, 1)
    np.testing.assert_array_equal(frames >> (32 - bits), samples)


def test_no_bytes_are_no_frames(decoded):
    frames, _ = decoded(b"", Encoding.S24, 2)
    assert frames.shape == (0, 2)
