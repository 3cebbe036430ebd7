"""A run of several hosts whose folder is in a bucket: one model, one log, one set of curves."""

import json
import re
import socket
import subprocess

import numpy as np
import pytest

from runtime.failure_detector import EXIT_STATUS
from tests.bucket_runs import finish, metrics, params, put_walks, steps, wait_for
from tests.gcs_server import GcsServer, gcs_unavailable
from tests.several_hosts import command_lines, variables

if reason := gcs_unavailable():
    pytest.skip(reason, allow_module_level=True)

ARGS = (
    *("--batch_size=8", "--chunk_size=64", "--shuffle_window=16", "--learning_rate=0.03"),
    *("--training_steps=400", "--log_every=7", "--eval_every=90", "--eval_steps=3"),
    *("--checkpoint_every=25", "--checkpoint_minutes=0"),
)
RESUMED = r"resuming +after step (\d+)"


@pytest.fixture
def server(tmp_path):
    with GcsServer("audio", "runs") as started:
        put_walks(started, tmp_path)
        yield started


@pytest.mark.slow
def test_hosts_that_die_leave_a_run_for_another_number_of_hosts(server, tmp_path):
    def start(run, hosts):
        folders = ("--audio_dir=gs://audio/walks", f"--output_dir=gs://runs/{run}")
        commands = command_lines(tmp_path / run, hosts, *folders, *ARGS)
        options = {"env": variables(2 // hosts), "stderr": subprocess.STDOUT}
        return [server.popen(command, **options) for command in commands]

    (whole,) = start("whole", 1)
    assert finish(whole)[0] == 0

    one, other = start("run", 2)
    wait_for(lambda: steps(server, "run"), one, other)
    other.kill()
    status, said = finish(one, timeout=60)
    assert status == EXIT_STATUS
    assert f"error: host 1 ({socket.gethostname()}): its process has ended" in said
    finish(other)

    (alone,) = start("run", 1)
    before = max(steps(server, "run"))
    wait_for(lambda: max(steps(server, "run")) > before, alone)
    alone.kill()
    assert int(re.search(RESUMED, finish(alone)[1])[1]) >= 25

    processes = start("run", 2)
    ended = [finish(process) for process in processes]
    assert [status for status, _ in ended] == [0, 0], ended
    assert int(re.search(RESUMED, ended[0][1])[1]) > before
    files = {name.removeprefix("run/audio_model") for name in server.names("runs", "run/")}
    single = {".npz", ".flags", ".catalogue", "_curves.png", "_flac.json", "_training.log"}
    single |= {"_metrics.jsonl", "_timing.jsonl"}
    others = ("_checkpoints/", "run/tensorboard/audio_model/events.out.tfevents.")
    assert files >= single
    assert all(name.startswith(others) for name in files - single), files
    log = server.get("runs", "run/audio_model_training.log").decode()
    assert len(re.findall(RESUMED, log)) == 2 and log.count("alone writes files") == 2
    assert "step 400/400" in log
    lines = [
        [json.loads(line) for line in metrics(server, run).splitlines()] for run in ("run", "whole")
    ]
    assert len(lines[0]) == len(lines[1])
    for ours, theirs in zip(*lines, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-5)
    for name, array in params(server, "whole").items():
        np.testing.assert_allclose(params(server, "run")[name], array, rtol=1e-4, atol=1e-5)
