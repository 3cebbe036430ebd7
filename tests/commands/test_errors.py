"""How errors end the process."""

import os
import subprocess
import sys

import pytest

from commands.errors import readable_errors
from pipeline.wav.encoding import Encoding
from runtime.errors import ConfigError, UserError
from runtime.logging import start_logging
from tests.command_line import ROOT, TINY
from tests.wav_files import random_frames, write_wav


def _failing(error):
    with readable_errors():
        raise error


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (ConfigError("a\n  b"), 2, "error: a b\n"),
        (PermissionError(13, "not yours", "f"), 2, "error: f: not yours\n"),
        (UserError(), 2, "error: UserError\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nbuffers: ..."),
            2,
            "error: out of memory, try a smaller --batch_size: RESOURCE_EXHAUSTED: Out of memory "
            "allocating 9 bytes.\n",
        ),
    ],
)
def test_what_the_user_can_mend_is_one_line(capsys, error, status, message):
    with pytest.raises(SystemExit) as end:
        _failing(error)
    assert (end.value.code, capsys.readouterr().err) == (status, message)


def test_a_platform_that_is_not_there_is_one_line_where_it_is_needed(tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    for number in range(2):
        write_wav(audio / f"{number}.wav", random_frames(Encoding.S16, 999, 1, 0), Encoding.S16)

    flags = (f"--audio_dir={audio}", f"--output_dir={tmp_path}", *TINY[:2])

    def run(command):
        return subprocess.run(
            [sys.executable, "main.py", command, *flags],
            cwd=ROOT,
            env={**os.environ, "JAX_PLATFORMS": "nonsense"},
            capture_output=True,
            text=True,
            check=False,
        )

    trained = run("train")
    assert trained.returncode == 2
    message = "error: JAX cannot use its devices, with JAX_PLATFORMS='nonsense'"
    assert trained.stderr.startswith(message) and trained.stderr.count("\n") == 1
    inspected = run("inspect")
    assert inspected.returncode == 0, inspected.stderr
    assert "one batch" in inspected.stdout


@pytest.mark.parametrize(
    "error", [ValueError("x"), RuntimeError("x"), KeyError("x"), MemoryError()]
)
def test_a_bug_of_ours_is_not(capsys, error):
    with pytest.raises(type(error)):
        _failing(error)
    assert capsys.readouterr().err == ""


def test_an_error_is_logged_once_there_is_a_log(tmp_path, capsys):
    start_logging(str(tmp_path / "log"))
    with pytest.raises(SystemExit):
        _failing(ConfigError("no"))
    assert capsys.readouterr().err == "error: no\n"
    assert (tmp_path / "log").read_text().endswith(" ERROR no\n")


def test_a_traceback_on_demand(capsys, monkeypatch):
    monkeypatch.setenv("WAVESTREAM_TRACEBACK", "1")
    with pytest.raises(SystemExit):
        _failing(ConfigError("no"))
    err = capsys.readouterr().err
    assert err.startswith("Traceback ") and err.endswith("\nerror: no\n")
