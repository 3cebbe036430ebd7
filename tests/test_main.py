"""The command line: what it answers at once, and that it never shows a traceback."""

import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

import main
from models.model_file import save_model
from pipeline.wav.encoding import Encoding
from tests.command_line import ROOT, error_of, parsed
from tests.evaluation.runs.test_run_dir import write_run
from tests.wav_files import random_frames, write_wav


def _run(*args, cwd=None, **kwargs):
    command = [sys.executable, str(ROOT / "main.py"), *args]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, **kwargs)


@pytest.mark.parametrize("arg", ["--help", "--helpshort", "--helpfull"])
def test_help_shows_every_flag(arg):
    shown = _run(arg)
    assert shown.stderr == ""
    assert "python main.py inspect --audio_dir=~/music" in shown.stdout
    for line in ("--audio_dir:", "--chunk_size:", "--[no]use_16bit:", "(default: '488281')"):
        assert line in shown.stdout


_IMPORTS = """
import sys
sys.argv[0] = "main.py"
import main
try:
    main.run()
except SystemExit as end:
    assert end.code, end.code
slow = {"tensorflow", "jax", "flax", "optax", "numpy", "wandb"} & sys.modules.keys()
assert not slow, slow
"""


@pytest.mark.parametrize(
    "arg", ["--help", "--chunk_size=0", "--audio_dir=/no/such", "--output_dir=/dev/null/x", "trian"]
)
def test_answers_before_anything_slow_is_imported(arg):
    audio = () if arg.startswith("--audio_dir") else (f"--audio_dir={ROOT}",)
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS, arg, *audio], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _no_training(*_):
    raise AssertionError("a mistake was not found before TensorFlow is imported")


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(main, "_keep_off_the_accelerator", _no_training)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "--audio_dir is missing: a folder of WAV files"),
        (("--audio_dir=",), "--audio_dir is missing"),
        (("--audio_dir=,",), "--audio_dir is missing"),
        (("inspect",), "--audio_dir is missing"),
        (("trian", "--demo"), "unexpected 'trian'; "),
        (("train", "now"), "unexpected 'now'; "),
        (("audio_dir=/tmp",), "unexpected 'audio_dir=/tmp'; a folder is given as --audio_dir=FOLD"),
        (("--use_16bit", "true"), "unexpected 'true'; "),
        (("--audio_dir=/no/such",), "--audio_dir=/no/such: there is no such folder or file"),
        (("--audio_dir=/tmp,/no/such",), "--audio_dir=/no/such: there is no such folder or file"),
        (("inspect", "--audio_dir=/no/such"), "--audio_dir=/no/such: there is no such folder"),
        (("evaluate",), "--model is missing: the .npz file that training wrote"),
        (("evaluate", "--model=/no/such.npz"), "/no/such.npz: no such model file"),
        (("evaluate", "--model=x", "--audio_dir=/no/such"), "--audio_dir=/no/such: there is no"),
        (("evaluate", "x.npz"), "unexpected 'x.npz'; "),
        (("evaluate", f"--model={__file__}"), "not a model file: expected the .npz that training"),
        (("serve_input",), "--role is missing: one of dispatcher, worker"),
        (("serve_input", "--role=worker"), "--dispatcher is missing: the dispatcher's grpc://host"),
        (("serve_input", "--role=dispatcher", "--dispatcher=grpc://h:1"), "--dispatcher is for"),
        (("serve_input", "--role=dispatcher", "--port=65536"), "--port must be between 0 and 6553"),
        (("--demo", "--data_service=h:1"), "--data_service=h:1: must be grpc://host:port"),
        (("--demo", "--data_service=grpc://h:0"), "must be grpc://host:port"),
        (("compare",), "compare what? Name the folders of runs"),
        (("compare", "/no/such"), "/no/such"),
        (("--audio_dir=/tmp", "--batch_size=2000000000"), "expected a smaller --batch_size"),
        (("--audio_dir=/tmp", "--chunk_size=2000000000"), "--chunk_size=2,000,000,000"),
        (("--audio_dir=/tmp", "--shuffle_window=2000000000"), "2,000,003,072 chunks of --chunk"),
    ],
)
def test_mistake(capsys, args, message):
    assert message in error_of(capsys, *args)


@pytest.mark.usefixtures("quick")
def test_output_dir_below_a_file(capsys, tmp_path):
    (tmp_path / "file").touch()
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}/file/out")
    assert message.startswith(f"--output_dir={tmp_path}/file/out cannot be made: ")
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}/file")
    assert message.startswith(f"--output_dir={tmp_path}/file cannot be made: ")


@pytest.mark.usefixtures("quick")
def test_output_dir_that_is_not_writable(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # Root may write anywhere.
    message = error_of(capsys, "--demo", f"--output_dir={tmp_path}")
    assert message == f"--output_dir={tmp_path} is not writable"


def test_batch_that_devices_cannot_share(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("jax.device_count", lambda: 4)
    message = error_of(capsys, "--demo", "--batch_size=6", f"--output_dir={tmp_path}")
    assert message.endswith("devices, 4; the nearest that are: 4 and 8")
    assert not list(tmp_path.iterdir())


def test_interruption_before_training(capsys, tmp_path, monkeypatch):
    def interrupt(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_train", interrupt)
    with pytest.raises(SystemExit) as end, parsed("--demo", f"--output_dir={tmp_path}") as argv:
        main.main(argv)
    assert end.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("arg", ["--help", "--helpfull", "compare"])
def test_a_reader_that_is_gone_ends_it_quietly(tmp_path, arg):
    reader, writer = os.pipe()
    os.close(reader)
    args = [arg, write_run(tmp_path / "run")] if arg == "compare" else [arg]
    command = [sys.executable, ROOT / "main.py", *args]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open(writer, "wb") as gone:
        done = subprocess.run(
            command, cwd=tmp_path, env=buffered, stdout=gone, stderr=subprocess.PIPE
        )
    assert done.stderr == b""


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
    assert message == f"no .wav file in {tmp_path}/audio or the folders below"


@pytest.mark.parametrize("command", ["train", "inspect"])
def test_folder_of_broken_wavs(capsys, tmp_path, command):
    _broken(tmp_path / "audio" / "a.wav")
    _broken(tmp_path / "audio" / "b.wav")
    message = error_of(capsys, command, f"--audio_dir={tmp_path}/audio", f"--output_dir={tmp_path}")
    assert message.startswith(f"none of the 2 .wav files in {tmp_path}/audio can be used: ")
    assert f"'{tmp_path}/audio/a.wav' and 1 more (" in message


def test_an_error_leaves_an_earlier_run_as_it_was(capsys, tmp_path):
    (tmp_path / "audio").mkdir()
    for name in ("audio_model.npz", "audio_model.flags", "metrics.jsonl"):
        (tmp_path / name).write_text("earlier")
    error_of(capsys, f"--audio_dir={tmp_path}/audio", f"--output_dir={tmp_path}")
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert b"ERROR no .wav file in" in left.pop("audio_model_training.log")
    left.pop("audio_model.catalogue", None)
    assert sorted(left) == ["audio_model.flags", "audio_model.npz", "metrics.jsonl"]
    assert set(left.values()) == {b"earlier"}


def _inspect(capsys, tmp_path, *args):
    with parsed("inspect", f"--output_dir={tmp_path}", "--chunk_size=1000", *args) as argv:
        main.main(argv)
    out, err = capsys.readouterr()
    assert err == ""
    return {line[:17].rstrip(): line[17:] for line in out.splitlines()}


def test_inspect(capsys, tmp_path):
    _wav(tmp_path / "a" / "mono.wav")
    _wav(tmp_path / "a" / "deep" / "stereo.WAV", channels=2, encoding=Encoding.S24)
    _broken(tmp_path / "a" / "broken.wav")
    told = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/a", "--batch_size=2")
    assert told["files"].startswith("2 ")
    assert "mono (1)" in told["channels"] and "stereo (1)" in told["channels"]
    assert "24-bit (1)" in told["encodings"]
    assert "broken.wav" in told["skipped"]
    assert "3 chunks, 3,000 samples" in told["training"]
    assert told["steps per epoch"].startswith("1.5 of 2 chunks of 1,000 samples")
    assert told["one batch"].startswith("uint8 [1, 2, 1000] ")


@pytest.mark.parametrize(
    ("frames", "training", "validation"),
    [
        (10_000, "1 file, 8 chunks, 8,000 samples", "1 file, 2 chunks, 2,000 samples"),
        (500, "1 file, 1 chunk, 400 samples", "1 file, 1 chunk, 100 samples"),
        (1, "1 file, 1 chunk, 1 sample", "none is held out"),
    ],
)
def test_inspect_one_file(capsys, tmp_path, frames, training, validation):
    _wav(tmp_path / "one.wav", frames=frames)
    told = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/one.wav")
    assert (told["training"], told["validation"]) == (training, validation)


def test_folders_with_commas_and_within_each_other(capsys, tmp_path, monkeypatch):
    _wav(tmp_path / "a,b" / "1.wav")
    _wav(tmp_path / "c" / "2.wav")
    monkeypatch.chdir(tmp_path)
    told = _inspect(capsys, tmp_path, "--audio_dir=a,b", "--audio_dir=c,.", "--audio_dir=a,b")
    assert told["files"].startswith("2 ")


def test_inspect_into_a_pipe_that_closes(tmp_path):
    _wav(tmp_path / "1.wav")
    main_py = shlex.join([sys.executable, str(ROOT / "main.py")])
    command = f"{main_py} inspect --audio_dir={tmp_path} --output_dir={tmp_path} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("files            1 with 0.38 seconds of audio\n", "")


def test_silence_is_in_the_middle(capsys, tmp_path):
    write_wav(tmp_path / "s.wav", np.zeros((4000, 1), int), Encoding.S16)
    told = _inspect(capsys, tmp_path, f"--audio_dir={tmp_path}/s.wav", "--use_16bit")
    assert "symbols from 32768 to 32768" in told["one batch"]


def test_evaluate_refuses_a_model_without_its_parameters(tmp_path, capsys):
    settings = {"model": {}, "pipeline": {}}
    save_model(tmp_path / "m.npz", {"norm": {"scale": np.ones(3)}}, settings)
    message = error_of(capsys, "evaluate", f"--model={tmp_path}/m.npz")
    assert message.startswith(f"{tmp_path}/m.npz: the parameters are not those of the model in ")
