"""What is promised of every run holds for adaptive predictors, whose features are made on the host:
other hosts, other machines that read, a bucket, files that cannot be read."""

import json
import os
import signal
import subprocess

import numpy as np
import pytest

from tests.bucket_runs import finish_well, steps, wait_for
from tests.command_line import ROOT
from tests.fork_server import python
from tests.gcs_server import GcsServer, gcs_unavailable
from tests.input_servers import servers
from tests.ports import free_port
from tests.several_hosts import variables
from tests.wav_files import write_walks

pytestmark = pytest.mark.slow

ARGS = (
    *("--predictors=adaptive", "--batch_size=4", "--chunk_size=128", "--learning_rate=0.01"),
    *("--training_steps=60", "--log_every=7", "--eval_every=30", "--eval_steps=2"),
    # The default is another one for buckets.
    *("--checkpoint_every=4", "--checkpoint_minutes=0", "--chunks_per_read=8"),
)


def _start(audio, out, *args, hosts=1):
    """Starts the hosts of a run, of two devices together."""
    address = f"127.0.0.1:{free_port()}"
    where = (f"--coordinator_address={address}", f"--num_processes={hosts}") if hosts > 1 else ()
    return [
        subprocess.Popen(
            python(
                *("main.py", f"--audio_dir={audio}", f"--output_dir={out}", *ARGS, *args, *where),
                *((f"--process_id={index}",) if hosts > 1 else ()),
            ),
            cwd=ROOT,
            env={**os.environ, **variables(2 // hosts)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(hosts)
    ]


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    write_walks(folder)
    return folder


@pytest.fixture(scope="module")
def whole(audio, tmp_path_factory):
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    finish_well(*_start(audio, out))
    return out


def _metrics(out):
    return (out / "audio_model_metrics.jsonl").read_bytes()


def _params(content):
    with np.load(content) as arrays:
        return {name: arrays[name] for name in arrays if name.startswith("params/")}


def _assert_same(out, whole):
    assert _metrics(out) == _metrics(whole)
    ours, theirs = (_params(folder / "audio_model.npz") for folder in (out, whole))
    assert all(ours[name].tobytes() == array.tobytes() for name, array in theirs.items())


def test_two_hosts_and_then_one(audio, whole, tmp_path):
    processes = _start(audio, tmp_path, hosts=2)
    wait_for(lambda: len(list(tmp_path.glob("audio_model_checkpoints/*.npz"))) > 1, *processes)
    processes[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [143, 143], said
    said = finish_well(*_start(audio, tmp_path))
    assert "resuming         after step" in said
    ours, theirs = (_metrics(out).splitlines() for out in (tmp_path, whole))
    for one, other in zip(ours, theirs, strict=True):
        assert json.loads(one) == pytest.approx(json.loads(other), rel=1e-4)


def test_two_hosts_start_from_the_same_model(audio, whole, tmp_path):
    model = f"--init_from={whole}/audio_model.npz"
    processes = _start(audio, tmp_path, model, "--training_steps=4", hosts=2)
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert "trained for 60 steps" in said[0]
    before, after = (
        [line for line in map(json.loads, _metrics(out).splitlines()) if "valid/samples" in line]
        for out in (whole, tmp_path)
    )
    assert after[0] == pytest.approx({**before[-1], "step": 0}, rel=1e-4)


def test_other_machines_read(audio, whole, tmp_path):
    with servers(num_workers=1) as (address, _, _):
        said = finish_well(*_start(audio, tmp_path, f"--data_service={address}"))
    assert "input service:" not in said  # All of it was read there.
    _assert_same(tmp_path, whole)


@pytest.mark.skipif(bool(gcs_unavailable()), reason="no server of buckets here")
def test_killed_in_a_bucket(audio, whole, tmp_path):
    with GcsServer("audio", "runs") as server:
        server.put_folder("audio", "walks", audio)
        command = ("main.py", "--audio_dir=gs://audio/walks", "--output_dir=gs://runs/run", *ARGS)

        def start():
            return server.popen(python(*command), env=variables(2))

        process = start()
        wait_for(lambda: steps(server, "run"), process)
        process.kill()
        process.communicate()
        assert "resuming         after step" in finish_well(start())
        for suffix in ("_metrics.jsonl", ".npz"):
            content = server.get("runs", f"run/audio_model{suffix}")
            (tmp_path / f"audio_model{suffix}").write_bytes(content)
    _assert_same(tmp_path, whole)


def test_files_that_cannot_be_read(audio, whole, tmp_path):
    for path in audio.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "broken.wav").write_bytes(b"RIFF nonsense")
    (process,) = _start(tmp_path, tmp_path / "strict", "--strict")
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 2 and "broken.wav" in said.splitlines()[-1], said
    assert "--strict" in said.splitlines()[-1]
    said = finish_well(*_start(tmp_path, tmp_path / "out"))
    assert "skipped files    1" in said
    _assert_same(tmp_path / "out", whole)
