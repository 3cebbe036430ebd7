"""What `inspect` prints of a corpus."""

import shlex
import subprocess
import sys

import numpy as np
import pytest

from pipeline.wav.encoding import Encoding
from tests.command_line import ROOT, error_of, run_main
from tests.wav_files import random_frames, write_wav


def _wav(path, frames=3000, channels=1, encoding=Encoding.S16):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, random_frames(encoding, frames, channels), encoding, sample_rate=8000)


def _broken(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF nonsense")


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_folder_without_wavs(capsys, tmp_path, command):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "song.mp3").touch()
    message = error_of(capsys, command, f"--audio_dir={tmp_path}/audio", f"--output_dir={tmp_path}")
    assert message == (
        f"no .wav file in {tmp_path}/audio or the folders below (hidden names are left out); "
        f"'{tmp_path}/audio/song.mp3' is audio, but no WAV: `ffmpeg -i IN OUT.wav` makes one"
    )


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_folder_of_broken_wavs(capsys, tmp_path, command):
    _broken(tmp_path / "audio" / "a.wav")
    _broken(tmp_path / "audio" / "b.wav")
    message = error_of(capsys, command, f"--audio_dir={tmp_path}/audio", f"--output_dir={tmp_path}")
    assert message.startswith(f"none of the 2 .wav files in {tmp_path}/audio can be used: ")
    assert f"'{tmp_path}/audio/a.wav' and 1 more (" in message


def _inspect(capsys, tmp_path, *args):
    assert run_main("inspect", f"--output_dir={tmp_path}", "--chunk_size=1000", *args) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return {line[:17].rstrip(): line[17:] for line in out.splitlines()}


def test_inspect(capsys, tmp_path):
    _wav(tmp_path / "a" / "mono.wav")
    _wav(tmp_path / "a" / "deep" / "stereo.WAV", channels=2, encoding=Encoding.S24)
    _broken(tmp_path / "a" / "broken.wav")
    shown = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/a", "--batch_size=2")
    assert shown["files"].startswith("2 ")
    assert "mono (1)" in shown["channels"] and "stereo (1)" in shown["channels"]
    assert "24-bit (1)" in shown["encodings"]
    assert "broken.wav" in shown["skipped"]
    assert "3 chunks, 3,000 samples" in shown["training"]
    assert shown["epoch"].startswith("1.5 batches of 2 chunks of 1,000 samples")
    assert shown["one batch"].startswith("int8 [1, 2, 1000] ")


@pytest.mark.parametrize(
    ("frames", "training", "validation"),
    [
        (
            10_000,
            "1 file, 8 chunks, 8,000 samples",
            "1 file, 2 chunks, 2,000 samples, 20.0% of all",
        ),
        (500, "1 file, 1 chunk, 400 samples", "1 file, 1 chunk, 100 samples, 20.0% of all"),
        (1, "1 file, 1 chunk, 1 sample", "no file is held out"),
    ],
)
def test_one_file(capsys, tmp_path, frames, training, validation):
    _wav(tmp_path / "one.wav", frames=frames)
    shown = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/one.wav")
    assert (shown["training"], shown["validation"]) == (training, validation)


@pytest.mark.slow
def test_demo_corpus_and_the_flag_file_of_a_training(capsys, tmp_path):
    preset = f"--flagfile={ROOT}/presets/quickstart.flags"
    shown = _inspect(capsys, tmp_path, preset, f"--output_dir={tmp_path}")
    assert shown["files"].startswith("13 ")
    assert (tmp_path / "demo_corpus").is_dir()


def test_folders_with_commas_and_within_each_other(capsys, tmp_path, monkeypatch):
    _wav(tmp_path / "a,b" / "1.wav")
    _wav(tmp_path / "c" / "2.wav")
    monkeypatch.chdir(tmp_path)
    shown = _inspect(capsys, tmp_path, "--audio_dir=a,b", "--audio_dir=c,.", "--audio_dir=a,b")
    assert shown["files"].startswith("2 ")


def test_it_writes_only_where_it_is_told_to(capsys, tmp_path, monkeypatch):
    _wav(tmp_path / "audio" / "1.wav")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run_main("inspect", "--audio_dir=../audio", "--chunk_size=1000") == 0
    assert not any((tmp_path / "here").iterdir())
    _inspect(capsys, tmp_path / "run", "--audio_dir=../audio")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["audio_model.catalogue"]


def test_a_pipe_that_closes(tmp_path):
    _wav(tmp_path / "1.wav")
    main_py = shlex.join([sys.executable, str(ROOT / "main.py")])
    command = f"{main_py} inspect --audio_dir={tmp_path} --output_dir={tmp_path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("files            1 with 0.38 seconds of audio\n", "")


@pytest.mark.parametrize(("depth", "dtype"), [(16, "int16"), (24, "int32")])
def test_depth_of_a_batch(capsys, tmp_path, depth, dtype):
    _wav(tmp_path / "a" / "1.wav", encoding=Encoding.S24)
    _wav(tmp_path / "a" / "2.wav", encoding=Encoding.F32)
    shown = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/a", f"--bit_depth={depth}")
    assert shown["one batch"].startswith(f"{dtype} [1, 128, 1000] ")
    assert f"of {-(2 ** (depth - 1))} to {2 ** (depth - 1) - 1}" in shown["one batch"]


def test_silence_is_zero(capsys, tmp_path):
    write_wav(tmp_path / "s.wav", np.zeros((4000, 1), int), Encoding.S16)
    shown = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/s.wav", "--use_16bit")
    assert "from 0 to 0" in shown["one batch"]
