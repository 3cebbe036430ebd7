"""Runs that live in a bucket: on machines that lose their disks, and over networks that fail."""

import json
import re
import subprocess
import time

import pytest

from tests.bucket_runs import (
    assert_same,
    finish,
    finish_well,
    kill,
    new_python,
    put_walks,
    start,
    steps,
    wait_for,
)
from tests.faulty_proxy import Fault
from tests.fork_server import python
from tests.gcs_server import UPLOADS, WRITES, GcsServer, gcs_unavailable

if reason := gcs_unavailable():
    pytest.skip(reason, allow_module_level=True)

# TensorFlow tries for three minutes before it says that a bucket cannot be reached. It reads this
# while it is imported.
IMPATIENT = {"GCS_RETRY_CONFIG_MAX_RETRIES": "1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with GcsServer("audio", "runs") as started:
        put_walks(started, tmp_path_factory.mktemp("audio"))
        yield started


@pytest.fixture(scope="module")
def whole(server):
    """A run that nothing happened to."""
    return finish_well(start(server, "whole"))


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


@pytest.mark.slow
def test_killed_three_times_and_started_on_other_machines_it_is_the_same_run(
    server, whole, tmp_path
):
    """Other processes, another name, other disks; it waits a minute for each that has died."""
    other = ["unshare", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc", "--"]
    if subprocess.run([*other, "true"], check=False).returncode:
        pytest.skip("namespaces are not permitted here")

    def start_elsewhere(name):
        disk = tmp_path / name
        disk.mkdir()
        folders = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")
        return start(
            server,
            "moved",
            interpreter=lambda *arguments: [*other, *new_python(*arguments)],
            env=dict.fromkeys(folders, str(disk)),
        )

    for name in ("first", "second", "third"):
        kill(server, "moved", start_elsewhere(name))
    said = finish_well(start_elsewhere("fourth"))
    assert "audio_model.lock: waiting to see whether" in said
    assert_same(server, "moved", "whole")


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_bucket_that_fails_for_a_while_ends_no_run(server, whole):
    process = start(server, "faulty", interpreter=new_python, env=IMPATIENT)
    wait_for(lambda: steps(server, "faulty"), process)
    with server.proxy.failing(Fault(on=f"{WRITES}.*faulty", status=503, seconds=15)):
        said = finish_well(process)
    assert said.count("cannot be accessed (") == said.count("can be accessed again, after") == 1
    assert "HTTP 503" in said
    assert_same(server, "faulty", "whole")


def test_a_second_run_is_refused(server, whole):
    lock = {"holder": "process 7 on host b", "process": ["host b", 7], "token": "b"}
    process = start(server, "held", "--training_steps=2")
    for renewals in range(100):  # Another machine holds it.
        server.put("runs", "held/audio_model.lock", json.dumps({**lock, "n": renewals}).encode())
        time.sleep(0.5)
        if process.poll() is not None:
            break
    status, said = finish(process)
    assert status == 2
    assert "audio_model.lock is held by process 7 on host b" in said.splitlines()[-1], said
    assert "audio_model.lock: waiting to see whether process 7 on host b still runs" in said
    assert server.names("runs", "held/") == ["held/audio_model.lock"]


@pytest.mark.slow
def test_uploads_that_break_off_leave_no_half_files(server, whole):
    with server.proxy.failing(Fault(on=f"{UPLOADS}.*cut", cut_at=2000)):
        process = start(server, "cut")
        time.sleep(1)
    finish_well(process)
    assert_same(server, "cut", "whole")


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
    for number in range(0, 20, 2):
        process = server.popen(python("-c", SAVES, "gs://runs/uploads"))
        found = int(process.stdout.readline().split()[1])
        assert found >= saved, process.communicate()
        process.stdout.readline()
        time.sleep(0.05 * number)
        process.kill()
        lines = process.communicate()[0].splitlines()
        saved = int(lines[-1].split()[1]) if lines and len(lines[-1].split()) == 2 else found + 1
    assert all(name.endswith(".npz") for name in server.names("runs", "uploads/"))
