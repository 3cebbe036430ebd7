"""Every file comes back byte for byte."""

import io
import pathlib
import tempfile
import wave

import numpy as np
import pytest

from codec.blocks import Kind, block
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.header import MAX_SAMPLES, Format, end_payload, header, read_header, round_segment
from codec.segments import encode_segment, is_verbatim
from models.exact.analysis import measure_segment
from models.exact.network import make_mlp
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import decode_whole, small_model
from tests.models.exact.test_stream import make_params, repeated, stereo
from tests.models.predictors.signals import noise, tones
from tests.wav_files import write_wav


def wav_bytes(frames, encoding: Encoding = Encoding.S16) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_wav(pathlib.Path(folder, "a.wav"), frames, encoding)


def compress(data: bytes, **options) -> bytes:
    return b"".join(compress_parts(io.BytesIO(data), len(data), [small_model()], **options))


def decompress(data: bytes, **options) -> bytes:
    opened = open_compressed(io.BytesIO(data), [small_model()])
    return b"".join(decompress_parts(opened, **options))


SIGNALS = {
    "tones": stereo(3000),
    "repeated": repeated(),
    "mono": tones(3000)[:, None],
    "silence": np.zeros((3000, 2), np.int32),
    "constant": np.full((500, 1), -77),
    "one sample": np.array([[5]]),
    "twins": np.repeat(tones(2000)[:, None], 3, 1),
    "wasted bits": tones(2000)[:, None] // 16 * 16,
    "stretched": (tones(6000)[:, None] >> 9) * 257,
    "white noise": np.random.default_rng(0).integers(-(2**15), 2**15, (2000, 2)),
    "square": np.where(np.arange(2000) // 50 % 2, 2**15 - 1, -(2**15))[:, None],
    "clicks": np.where(np.arange(2000) % 701 == 0, 2**15 - 1, 0)[:, None],
    "second leads": stereo(6000)[:, ::-1],
}


@pytest.mark.parametrize("stretch", [1000, 1500])  # Of blocks of 1000.
@pytest.mark.parametrize("num_threads", [1, 5])
def test_how_a_segment_is_gone_through_does_not_matter(stretch, num_threads, monkeypatch):
    left = repeated()[:, 0]
    frames = np.stack([left, np.roll(left, 5) // 2, noise(left.size, 3)], 1)
    coder, told = small_model().coder, [[], []]
    expected = encode_segment(coder, frames)
    monkeypatch.setattr("models.exact.segment.STRETCH", stretch)
    monkeypatch.setattr("codec.exact._PIECE", stretch)
    data = encode_segment(
        coder, frames, num_threads=num_threads, advance=lambda *done: told[0].append(done)
    )
    assert data == expected
    found = decode_whole(
        coder,
        data,
        *frames.shape,
        num_threads=num_threads,
        advance=lambda *done: told[1].append(done),
    )
    np.testing.assert_array_equal(found, frames)
    for parts in told:
        samples, bits = np.sum(parts, 0)
        assert samples == frames.size and abs(bits - 8 * len(data)) < 0.01 * 8 * len(data)
        assert len(parts) >= left.size // 2000


def test_progress_adds_up():
    data, told = wav_bytes(stereo(3000)), [[], []]
    packed = compress(data, segment=1024, progress=lambda *part: told[0].append(part))
    decompress(packed, progress=lambda *part: told[1].append(part))
    read, made, seconds = np.sum(told[0], 0)
    assert read == 4 * 3000 and 0 < len(packed) - made < 100
    assert seconds == pytest.approx(3000 / 44100)
    assert np.sum(told[1], 0)[1:] == pytest.approx([read, seconds])


@pytest.mark.parametrize("name", SIGNALS)
def test_segments(name):
    model, frames = small_model(), SIGNALS[name].astype(np.int32)
    data = encode_segment(model.coder, frames)
    assert len(data) <= 2 * frames.size + 2
    found = decode_whole(model.coder, data, *frames.shape)
    np.testing.assert_array_equal(found, frames)


def test_size_is_what_the_model_needs():
    model = small_model()
    for frames in (stereo(4000), repeated()):
        cost = measure_segment(model.config, make_mlp(make_params()), frames)
        size = 8 * len(encode_segment(model.coder, frames))
        needed = cost.bits.sum(dtype=np.float64) + cost.side_bits
        assert needed <= size + 1e-3
        assert size <= 1.0005 * needed + 8 * 4


def test_a_model_of_24_bits_codes_fewer_as_a_model_of_fewer():
    clipped = np.clip(tones(3000)[:, None] >> 7, -128, 127)
    deep, flat = small_model(24), small_model(8)
    expected = encode_segment(flat.coder, clipped)
    assert encode_segment(deep.coder, clipped) == expected
    scaled = clipped << 16
    data = encode_segment(deep.coder, scaled)
    assert len(data) == len(expected) + 1
    found = decode_whole(deep.coder, data, *scaled.shape)
    np.testing.assert_array_equal(found, scaled)
    needed = measure_segment(deep.config, make_mlp(make_params()), scaled)
    size = needed.bits.sum(dtype=np.float64) + needed.side_bits
    assert size <= 8 * len(data) + 1e-3 and 8 * len(data) <= 1.0005 * size + 8 * 4


def test_a_depth_that_the_model_has_not_is_damage():
    deep, flat = small_model(24), small_model(8)
    frames = noise(1000, 1, 2**20)[:, None]
    data = encode_segment(deep.coder, frames)
    with pytest.raises(DataError, match="24 bits, and the model codes 8 at most"):
        decode_whole(flat.coder, data, *frames.shape)
    with pytest.raises(DataError, match="32 bits"):
        decode_whole(deep.coder, bytes([0xC0]) + data[1:], *frames.shape)


def test_what_is_more_than_plain_samples_is_kept_plain():
    frames = SIGNALS["white noise"].astype(np.int32)
    model = small_model()
    assert is_verbatim(encode_segment(model.coder, frames))
    wide = (frames.astype(np.int64) * 256).astype(np.int32) + 3
    data = encode_segment(model.coder, wide)
    np.testing.assert_array_equal(decode_whole(model.coder, data, *wide.shape), wide)


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_encodings(encoding, channels):
    rng = np.random.default_rng(0)
    frames = tones(900)[:, None] // np.arange(1, channels + 1)
    if encoding is Encoding.U8:
        frames = (frames >> 8) + 128
    elif encoding in (Encoding.ALAW, Encoding.MULAW):
        frames = rng.integers(90, 110, frames.shape)
    elif encoding.is_float:
        frames = frames / 2**15
    elif encoding.depth > 16:
        frames = frames * 2 ** (encoding.depth - 16) + rng.integers(0, 2, frames.shape)
    data = wav_bytes(frames, encoding)
    packed = compress(data, segment=400, num_threads=2)
    assert decompress(packed, num_threads=2) == data
    assert len(packed) < len(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"not audio " * 1000,
        np.random.default_rng(0).bytes(3_000_000),
        wav_bytes(tones(500)[:, None], Encoding.S16)[:-1],
        wav_bytes(tones(500)[:, None], Encoding.S16) + b"LIST\4\0\0\0abcd" + b"\0" * 3,
        wav_bytes(np.random.default_rng(0).normal(size=(300, 2)), Encoding.F32),
        wav_bytes(np.array([[np.nan], [np.inf], [-0.0]]), Encoding.F64),
    ],
    ids=lambda data: str(len(data)),
)
def test_any_file(data):
    assert decompress(compress(data)) == data


def test_the_container_is_small(tmp_path):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(stereo(3072).astype("<i2").tobytes())
    data = path.read_bytes()
    model = small_model()
    lengths = []
    for segment in (1024, 3072):
        bare = sum(
            len(encode_segment(model.coder, stereo(3072)[first : first + segment]))
            for first in range(0, 3072, segment)
        )
        lengths.append(len(compress(data, segment=segment)) - bare)
    assert lengths[1] <= 64 + 12
    assert lengths[0] - lengths[1] <= 2 * 12


@pytest.mark.parametrize(
    ("channels", "frames", "rate", "most"),
    [
        (2, 2**28 - 1, 44_100, 58),
        (4, 2**35 - 1, 384_000, 60),
        (512, 2**35 - 1, 48_000, 62),
        (32, 2**28 - 1, 44_056, 64),
    ],
)
def test_the_container_of_a_long_file_is_small(channels, frames, rate, most):
    """Hours of it; 12 bytes a segment, the byte of flags included."""
    format_ = Format(
        fingerprint=bytes(8),
        encoding=Encoding.F64,
        channels=channels,
        sample_rate=rate,
        frames=frames,
        segment=round_segment(MAX_SAMPLES // channels),
    )
    head, end = header(format_), block(Kind.END, 0, end_payload(bytes(16), format_))
    assert len(head) + len(end) <= most
    assert read_header(io.BytesIO(head)) == format_
    payload = bytes(2**24)
    assert len(block(Kind.FRAMES, 2**14 - 1, payload)) - len(payload) + 1 <= 12


def test_lengths_of_segments():
    lengths = {round_segment(frames) for frames in range(1, 2**12)}
    assert len(lengths) == 15 + 8 * 8 and max(lengths) == 15 * 2**8
    assert all(round_segment(length) == length for length in lengths)
    assert all(0.88 < round_segment(n) / n <= 1 for n in range(1, MAX_SAMPLES, 99991))
    for length in [*sorted(lengths), MAX_SAMPLES]:
        format_ = Format(
            fingerprint=bytes(8),
            encoding=Encoding.S16,
            channels=1,
            sample_rate=length,
            frames=1,
            segment=length,
        )
        assert read_header(io.BytesIO(header(format_))) == format_


def test_segments_on_many_threads_are_the_same_bytes():
    data = wav_bytes(stereo(3000), Encoding.S16)
    assert compress(data, segment=700) == compress(data, segment=700, num_threads=4)


def test_24_bits_are_kept_by_a_model_of_16():
    frames = noise(1000, 1, 2**22)[:, None]
    data = wav_bytes(frames, Encoding.S24)
    assert decompress(compress(data)) == data
