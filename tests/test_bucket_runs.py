"""Runs that live in a bucket: on machines that lose their disks, and over networks that fail."""

import io
import json
import re
import sys
import time

import numpy as np
import pytest

from tests.command_line import TINY
from tests.faulty_proxy import Fault
from tests.fork_server import python
from tests.gcs_server import UPLOADS, WRITES, GcsServer, gcs_unavailable
from tests.wav_files import write_walks

if reason := gcs_unavailable():
    pytest.skip(reason, allow_module_level=True)

ARGS = (
    *TINY,
    *("--training_steps=200", "--log_every=7", "--eval_every=90", "--eval_steps=2"),
    *("--checkpoint_every=40", "--checkpoint_minutes=0", "--learning_rate=0.01"),
)
# TensorFlow tries for three minutes before it says that a bucket cannot be reached. It reads this
# while it is imported.
IMPATIENT = {"GCS_RETRY_CONFIG_MAX_RETRIES": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    write_walks(folder)
    with GcsServer("audio", "runs") as started:
        started.put_folder("audio", "walks", folder)
        yield started


def _start(server, run, *args, start=python, **kwargs):
    folders = ("--audio_dir=gs://audio/walks", f"--output_dir=gs://runs/{run}")
    return server.popen(start("main.py", *folders, *ARGS, *args), **kwargs)


def _new_python(*args):
    return [sys.executable, *args]


def _finish(process):
    out, err = process.communicate(timeout=600)
    return process.returncode, out + err


def _steps(server, run):
    names = server.names("runs", f"{run}/audio_model_checkpoints/")
    return sorted(int(re.search(r"(\d+)\.npz$", name)[1]) for name in names)


def _wait_for(condition, process, timeout=300):
    deadline = time.monotonic() + timeout
    while not condition():
        assert not process.poll(), process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _assert_same(server, run, other):
    """The runs have the same metrics, and the same parameters, byte for byte."""
    ours, theirs = (server.objects("runs", f"{name}/") for name in (run, other))
    metrics = "audio_model_metrics.jsonl"
    assert ours[f"{run}/{metrics}"] == theirs[f"{other}/{metrics}"]
    models = [
        np.load(io.BytesIO(files[f"{name}/audio_model.npz"]))
        for name, files in ((run, ours), (other, theirs))
    ]
    for name in filter(lambda name: name.startswith("params/"), models[1]):
        assert models[0][name].tobytes() == models[1][name].tobytes(), name


@pytest.fixture(scope="module")
def whole(server):
    """A run that nothing happened to."""
    status, said = _finish(_start(server, "whole"))
    assert status == 0, said
    return said


def test_a_run_leaves_all_its_files_and_names_them(server, whole):
    names = {name.removeprefix("whole/") for name in server.names("runs", "whole/")}
    events = {name for name in names if name.startswith("tensorboard/audio_model/events.out")}
    suffixes = ("flags", "npz", "catalogue")
    files = ("curves.png", "flac.json", "metrics.jsonl", "timing.jsonl", "training.log")
    checkpoints = {f"audio_model_checkpoints/{step}.npz" for step in (160, 200)}
    assert len(events) == 1
    best = {
        name
        for name in names
        if re.fullmatch(r"audio_model_checkpoints/(90|180|270|360).npz", name)
    }
    assert names - events - best == checkpoints | {f"audio_model.{x}" for x in suffixes} | {
        f"audio_model_{x}" for x in files
    }
    assert "python main.py --flagfile=gs://runs/whole/audio_model.flags" in whole
    assert "gs://runs/whole/audio_model_training.log" in whole
    log = server.get("runs", "whole/audio_model_training.log").decode()
    assert "step 200/200" in log and "gs://runs/whole/audio_model.npz" in log


def _kill_and_compare(server, run, kills):
    for _ in range(kills):
        process = _start(server, run)
        before = len(_steps(server, run)) and _steps(server, run)[-1]
        _wait_for(lambda: [*_steps(server, run), 0][-2:][0] > before, process)  # noqa: B023
        process.kill()
        process.communicate()
    status, said = _finish(_start(server, run))
    assert status == 0, said
    _assert_same(server, run, "whole")
    return said


def test_killed_three_times_and_started_on_other_machines_it_is_the_same_run(server, whole):
    assert "resuming         after step" in _kill_and_compare(server, "killed", kills=3)


def test_the_same_command_reads_its_flags_from_the_bucket_and_others_read_the_run(server, whole):
    again = server.run_main("--flagfile=gs://runs/whole/audio_model.flags")
    assert again.returncode == 0, again.stderr
    assert "all 200 steps are done" in again.stderr
    report = server.run_main(
        *("evaluate", "--model=gs://runs/whole/audio_model.npz", "--eval_files=1"),
        *("--report_dir=gs://runs/report", "--codecs="),
    )
    assert report.returncode == 0, report.stderr
    assert {*server.names("runs", "report/")} == {"report/report.html", "report/report.json"}
    compared = server.run_main("compare", "gs://runs/whole", "--report_dir=gs://runs/report")
    assert compared.returncode == 0, compared.stderr
    assert "200" in compared.stdout and "report/compare.png" in server.names("runs", "report/")


def test_a_bucket_that_fails_for_a_while_ends_no_run(server, whole):
    process = _start(server, "faulty", start=_new_python, env=IMPATIENT)
    _wait_for(lambda: _steps(server, "faulty"), process)
    with server.proxy.failing(Fault(on=f"{WRITES}.*faulty", status=503, seconds=15)):
        status, said = _finish(process)
    assert status == 0, said
    assert said.count("cannot be written (") == said.count("is written again, after") == 1
    assert "HTTP 503" in said
    _assert_same(server, "faulty", "whole")


def test_a_second_run_is_refused(server, whole):
    lock = {"holder": "process 7 on host b", "process": ["host b", 7], "token": "b"}
    process = _start(server, "held", "--training_steps=2")
    for renewals in range(100):  # Another machine holds it.
        server.put("runs", "held/audio_model.lock", json.dumps({**lock, "n": renewals}).encode())
        time.sleep(0.5)
        if process.poll() is not None:
            break
    status, said = _finish(process)
    assert status == 2
    assert "audio_model.lock is held by process 7 on host b" in said.splitlines()[-1], said
    assert server.names("runs", "held/") == ["held/audio_model.lock"]


def test_uploads_that_break_off_leave_no_half_files(server, whole):
    with server.proxy.failing(Fault(on=f"{UPLOADS}.*cut", cut_at=2000)):
        process = _start(server, "cut")
        time.sleep(1)
    status, said = _finish(process)
    assert status == 0, said
    _assert_same(server, "cut", "whole")


def test_what_cannot_be_written_is_named_before_anything_starts(server):
    server.create_bucket("readonly")
    server.create_bucket("denied")
    program = (
        "from commands.shared import make_output_dir\n"
        "for name in ('missing', 'readonly', 'denied'):\n"
        "    try: make_output_dir(f'gs://{name}/run', 'audio_model')\n"
        "    except OSError as error: print(error)\n"
    )
    with (
        server.proxy.failing(Fault(on=f"{WRITES}.*readonly", status=403)),
        server.proxy.failing(Fault(on="denied", status=401)),
    ):
        result = server.run_python(program)
    assert result.stdout.splitlines() == [
        "--output_dir cannot be written: gs://missing/run: HTTP 404 Not Found: expected a bucket "
        "that exists",
        "--output_dir cannot be written: gs://readonly/run: HTTP 403 Forbidden: expected "
        "credentials that may do this",
        "--output_dir cannot be written: gs://denied/run: HTTP 401 Unauthorized: expected valid "
        "credentials of this machine or user",
    ], result.stderr


SAVES = """
import sys, numpy as np
from runtime.outage import Outage
from training.checkpoints.checkpoint_file import Checkpoint
from training.checkpoints.store import CheckpointStore
store = CheckpointStore(sys.argv[1], keep=2, outage=Outage(sys.argv[1]))
start = store.restore()
step = start.step if start else 0
assert start is None or (start.arrays["a"] == step).all()
print("found", step, flush=True)
while True:
    step += 1
    store.save(Checkpoint(step, {"a": np.full(100_000, step)}, {}))
    store.wait()
    print("saved", step, flush=True)
"""


@pytest.mark.slow
def test_killed_during_uploads_nothing_is_lost_that_was_reported_saved(server):
    saved = 0
    for kill in range(20):
        process = server.popen(python("-c", SAVES, "gs://runs/uploads"))
        found = int(process.stdout.readline().split()[1])
        assert found >= saved, process.communicate()
        process.stdout.readline()
        time.sleep(0.05 * kill)
        process.kill()
        lines = process.communicate()[0].splitlines()
        saved = int(lines[-1].split()[1]) if lines and len(lines[-1].split()) == 2 else found + 1
    assert all(name.endswith(".npz") for name in server.names("runs", "uploads/"))
