"""Runs whose folder is in a bucket: started, waited for, compared. Their audio is there, too."""

import io
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.bucket_server import BucketServer
from tests.command_line import TINY
from tests.fork_server import python
from tests.wav_files import write_walks

ARGS = (
    *TINY,
    *("--training_steps=200", "--log_every=7", "--eval_every=90", "--eval_steps=2"),
    *("--checkpoint_every=40", "--checkpoint_minutes=0", "--learning_rate=0.01"),
)

Process = subprocess.Popen[str]


def start(
    server: BucketServer,
    run: str,
    *args: str,
    interpreter: Callable[..., list[str]] = python,
    **kwargs: Any,
) -> Process:
    """Starts a run of the audio of bucket "audio" in a folder of bucket "runs".

    Args:
      server: of the buckets.
      run: name of the folder.
      *args: more flags.
      interpreter: returns the command line that does what `python ARGUMENTS` does.
      **kwargs: see `BucketServer.popen`.
    """
    where = [f"{server.scheme}://{path}" for path in ("audio/walks", f"runs/{run}")]
    folders = [f"--audio_dir={where[0]}", f"--output_dir={where[1]}"]
    return server.popen(interpreter("main.py", *ARGS, *args, *folders), **kwargs)


def new_python(*arguments: str) -> list[str]:
    """See `fork_server.python`; starts a new one, which imports everything anew."""
    return [sys.executable, *arguments]


def put_walks(server: BucketServer, folder: pathlib.Path) -> None:
    """Puts the audio of the runs into the bucket "audio", by way of a folder."""
    write_walks(folder)
    server.put_folder("audio", "walks", folder)


def finish(process: Process, timeout: float = 600) -> tuple[int, str]:
    """Returns the exit status, and what was said."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out + (err or "")


def finish_well(process: Process) -> str:
    """Returns what was said by a run that ends as it should."""
    status, said = finish(process)
    assert status == 0, said
    return said


def wait_for(condition: Callable[[], object], *processes: Process, timeout: float = 300) -> None:
    """Waits until a condition holds; none of the processes may fail meanwhile."""
    deadline = time.monotonic() + timeout
    while not condition():
        for process in processes:
            assert not process.poll(), process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps(server: BucketServer, run: str) -> list[int]:
    """Returns the steps of the checkpoints of a run."""
    names = server.names("runs", f"{run}/audio_model_checkpoints/")
    return sorted(
        int(name[1]) for name in map(re.compile(r".*/(\d+)\.npz").fullmatch, names) if name
    )


def kill(server: BucketServer, run: str, process: Process) -> None:
    """Kills a run, by SIGKILL, after it has saved more than there was."""
    before = max(steps(server, run), default=0)
    wait_for(lambda: max(steps(server, run), default=0) > before, process)
    process.kill()
    process.communicate()


def params(server: BucketServer, run: str) -> dict[str, np.ndarray]:
    """Returns the parameters of the model of a run."""
    with np.load(io.BytesIO(server.get("runs", f"{run}/audio_model.npz"))) as arrays:
        return {name: arrays[name] for name in arrays if name.startswith("params/")}


def metrics(server: BucketServer, run: str) -> bytes:
    """Returns the file of the metrics of a run."""
    return server.get("runs", f"{run}/audio_model_metrics.jsonl")


def assert_same(server: BucketServer, run: str, other: str) -> None:
    """The runs have the same metrics, and the same parameters, byte for byte."""
    assert metrics(server, run) == metrics(server, other)
    ours, theirs = params(server, run), params(server, other)
    assert ours.keys() == theirs.keys()
    for name, array in theirs.items():
        assert ours[name].tobytes() == array.tobytes(), name


def assert_survives_a_kill(server: BucketServer, whole: str) -> None:
    """A run that is killed, and started by a machine with an empty disk, is the same as another."""
    kill(server, "killed", start(server, "killed"))
    said = finish_well(start(server, "killed"))
    assert "resuming         after step" in said
    assert_same(server, "killed", whole)
