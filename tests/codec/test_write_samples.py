"""Arrays as compressed files, beside what `soundfile` writes."""

import io
import os

import numpy as np
import pytest
import soundfile

import codec
from runtime.errors import DataError
from tests.codec.models import small_model
from tests.models.exact.test_stream import stereo

SAMPLES = stereo(300) / 2**15


@pytest.mark.parametrize("subtype", soundfile.available_subtypes("WAV"))
def test_write_is_as_soundfile_s(tmp_path, subtype):
    samples = 2 * SAMPLES if subtype.startswith("PCM") else SAMPLES
    path = tmp_path / "b.wav.wvst"
    if subtype not in ("PCM_16", "PCM_24", "PCM_32", "PCM_U8", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
        with pytest.raises(ValueError, match=f"subtype {subtype}: expected one of PCM_U8, PCM_16"):
            codec.write(path, samples, 8000, subtype, model=small_model())
        assert not path.exists()
        return
    soundfile.write(tmp_path / "b.wav", samples, 8000, subtype)
    codec.write(path, samples, 8000, subtype, model=small_model())
    with codec.SoundFile(path, model=small_model()) as file:
        assert (file.samplerate, file.subtype) == (8000, subtype)
        np.testing.assert_array_equal(file.read(), soundfile.read(tmp_path / "b.wav")[0])


def test_write_takes_blocks_lists_and_files(tmp_path):
    into = io.BytesIO()
    codec.write(into, SAMPLES, 8000, model=small_model())
    for data in (iter(np.array_split(SAMPLES, 3)), SAMPLES.tolist()):
        codec.write(tmp_path / "b.wav.wvst", data, 8000, model=small_model())
        assert (tmp_path / "b.wav.wvst").read_bytes() == into.getvalue()
    np.testing.assert_array_equal(codec.read(into.getvalue(), model=small_model())[0], SAMPLES)


@pytest.mark.parametrize("shape", [(0,), (0, 2)])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_no_frames(tmp_path, shape, subtype):
    soundfile.write(tmp_path / "b.wav", np.zeros(shape), 8000, subtype)
    codec.write(tmp_path / "b.wav.wvst", np.zeros(shape), 8000, subtype, model=small_model())
    for dtype in ("float32", "int16") if subtype == "PCM_16" else ("float64",):
        expected, rate = soundfile.read(tmp_path / "b.wav", dtype=dtype)
        found, found_rate = codec.read(tmp_path / "b.wav.wvst", dtype=dtype, model=small_model())
        assert (found.shape, found.dtype, found_rate) == (expected.shape, expected.dtype, rate)
    with codec.SoundFile(tmp_path / "b.wav.wvst", model=small_model()) as file:
        assert (file.frames, file.subtype, [*file.blocks(5)]) == (0, subtype, [])
    with pytest.raises(DataError, match="no WAV that could be read"):
        codec.read(codec.compress(b"no audio", small_model()), model=small_model())


@pytest.mark.parametrize(
    ("error", "message", "given"),
    [
        (ValueError, "n.flac: expected a name that ends with .wvst", {"file": "n.flac"}),
        (TypeError, "got int, expected a path that ends with .wvst", {"file": 1}),
        (TypeError, "got StringIO, expected", {"file": io.StringIO()}),
        (ValueError, "subtype PCM_17: expected one of", {"subtype": "PCM_17"}),
        (ValueError, "PCM_16 cannot hold: expected finite", {"data": np.array([0, np.nan])}),
        (ValueError, "PCM_16 cannot hold: expected finite", {"data": iter([[0.0], [np.inf]])}),
        (
            ValueError,
            "ULAW cannot hold: expected samples from -1 to 1",
            {"data": np.full(9, 1.1), "subtype": "ulaw"},
        ),
        (ValueError, "not 'int64'", {"data": np.zeros(3, np.int64)}),
        (ValueError, r"samples of shape \(\): expected", {"data": "song.wav"}),
        (ValueError, "there are no blocks", {"data": iter([])}),
    ],
)
def test_write_refuses(tmp_path, monkeypatch, error, message, given):
    monkeypatch.chdir(tmp_path)
    arguments = {"file": "a.wvst", "data": np.zeros(3), "samplerate": 8000, "model": small_model()}
    with pytest.raises(error, match=message):
        codec.write(**{**arguments, **given})
    assert not os.listdir(tmp_path)
