"""The codec in Python, beside what `soundfile` does with the same WAV."""

import io

import numpy as np
import pytest
import soundfile

import codec
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo
from tests.models.predictors.signals import tones
from tests.wav_files import write_wav


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A WAV and what has become of it."""
    path = tmp_path_factory.mktemp("api")
    write_wav(path / "a.wav", stereo(1300), Encoding.S16, sample_rate=8000)
    (path / "a.wav.wvst").write_bytes(codec.compress(path / "a.wav", small_model(), segment=500))
    return path


def test_there_and_back(folder):
    content = (folder / "a.wav").read_bytes()
    for source in (str(folder / "a.wav"), content, io.BytesIO(content)):
        packed = codec.compress(source, small_model(), segment=500)
        assert packed == (folder / "a.wav.wvst").read_bytes()
    for source in (folder / "a.wav.wvst", packed, io.BytesIO(packed)):
        assert codec.decompress(source, [small_model()]) == content
    with pytest.raises(DataError, match="not at hand"):
        codec.decompress(packed)
    with pytest.raises(FileNotFoundError):
        codec.decompress(folder / "b.wav.wvst", small_model())


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32", "int16"])
@pytest.mark.parametrize(
    "part", [{}, {"start": 700}, {"start": 3, "stop": 900}, {"start": 1250, "frames": 500}]
)
def test_read_is_as_soundfile_s(folder, dtype, part):
    expected, rate = soundfile.read(folder / "a.wav", dtype=dtype, **part)
    found, found_rate = codec.read(folder / "a.wav.wvst", dtype=dtype, model=small_model(), **part)
    assert (found.dtype, found_rate) == (expected.dtype, rate)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("encoding", [Encoding.U8, Encoding.S24_BE, Encoding.MULAW, Encoding.F32])
def test_read_of_other_encodings(tmp_path, encoding):
    frames = tones(300)[:, None]
    if encoding.is_float:
        frames = frames / 2**15
    content = write_wav(
        tmp_path / "a.wav", frames % 256 if encoding.depth < 24 else frames, encoding
    )
    packed = codec.compress(content, small_model())
    expected, _ = soundfile.read(tmp_path / "a.wav", always_2d=True)
    np.testing.assert_array_equal(
        codec.read(packed, always_2d=True, model=small_model())[0], expected
    )
    if encoding.is_float:
        with pytest.raises(ValueError, match="which are no integers"):
            codec.read(packed, dtype="int16", model=small_model())


def test_blocks(folder):
    expected, _ = soundfile.read(folder / "a.wav")
    with codec.SoundFile(folder / "a.wav.wvst", small_model()) as file:
        assert (file.samplerate, file.channels, file.frames, len(file)) == (8000, 2, 1300, 1300)
        np.testing.assert_array_equal(np.concatenate(list(file.blocks(170))), expected)
        assert len(file.read(10)) == 0
        file.seek(640)
        np.testing.assert_array_equal(file.read(60), expected[640:700])
        assert file.tell() == 700
        np.testing.assert_array_equal(file.read(), expected[700:])
        with pytest.raises(ValueError, match="frame 1301 of 1300"):
            file.seek(1301)


def test_write(tmp_path, folder):
    samples, rate = soundfile.read(folder / "a.wav")
    for data in (samples, iter(np.array_split(samples, 3))):
        codec.write(tmp_path / "b.wav.wvst", data, rate, model=small_model())
        found, found_rate = codec.read(tmp_path / "b.wav.wvst", model=small_model())
        assert found_rate == rate
        np.testing.assert_array_equal(found, samples)
    with pytest.raises(ValueError, match="subtype"):
        codec.write(tmp_path / "c.wav.wvst", samples, rate, "PCM_17", model=small_model())
    assert not (tmp_path / "c.wav.wvst").exists()


def test_models_that_ship(folder):
    content = (folder / "a.wav").read_bytes()
    packed = codec.compress(content, "fast")
    assert len(packed) < len(codec.compress(content, small_model()))
    assert codec.decompress(packed) == content
    assert len(codec.compress(content)) < len(packed)  # The best.
