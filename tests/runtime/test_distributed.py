"""Hosts that exchange values, and end together; processes of their own on this machine."""

import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest

from runtime import distributed
from runtime.distributed import DistributedConfig
from runtime.errors import ConfigError
from runtime.failure_detector import EXIT_STATUS

ROOT = pathlib.Path(__file__).parents[2]

_HOST = """
import json, os, sys, time
import numpy as np
from runtime import distributed
from runtime.errors import TrainingError
from runtime.logging import start_logging

number = int(sys.argv[2])
start_logging(None)
distributed.initialize(distributed.DistributedConfig(
    coordinator_address=sys.argv[1], num_processes=2, process_id=number))
assert distributed.is_primary() == (number == 0)
"""

_EXCHANGE = """
def on_the_primary():
    assert number == 0
    return {"steps": (1, 2), "state": np.arange(3), "nothing": None}

got = distributed.broadcast_from_primary(on_the_primary)
got["state"] = got["state"].tolist()
assert got == {"steps": [1, 2], "state": [0, 1, 2], "nothing": None}, got
assert distributed.gather(["of", number]) == [["of", 0], ["of", 1]]
assert distributed.gather(number * "x") == ["", "x"]
assert sum(distributed.gather(np.full(2, 2**40 + number))).tolist() == [2**41 + 1] * 2

def fails():
    raise KeyError("no such thing")

try:
    distributed.broadcast_from_primary(fails)
except (KeyError if number == 0 else TrainingError) as error:
    assert "no such thing" in str(error)
distributed.finish()
assert distributed.is_primary() == (number == 0)
time.sleep(3 * number)  # That the other process has ended is no failure.
"""

# Host 1 dies while host 0 is within a collective, which then fails at once, with a ValueError.
_DIE = """
distributed.gather(0)
if number:
    time.sleep(0.5)
    os.kill(os.getpid(), 9)
while True:
    distributed.gather(0)
"""

_BUG = """
distributed.gather(0)
if number:
    raise KeyError("a bug")
distributed.gather(0)
"""

_ABORT = """
if number:
    distributed.abort(2, "a mistake")
distributed.gather(0)
"""


# As `train` does, on a Slurm cluster.
_AUTO = """
import sys
from commands import train
from runtime import distributed
from tests.command_line import parsed

train.start(parsed("--audio_dir=.", "--coordinator_address=auto", "--batch_size=2", *sys.argv[1:]))
assert distributed.num_hosts() == 2
distributed.finish()
"""


def _run(program):
    """Runs the program on two hosts; returns their statuses and what they log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    # Nothing listens at this proxy: hosts must not ask it for each other.
    proxy = "http://127.0.0.1:9"
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "http_proxy": proxy, "https_proxy": proxy}
    command = [sys.executable, "-c", _HOST + program, address]
    options = {"cwd": ROOT, "env": environment, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen([*command, number], **options) for number in "01"]
    logs = [process.communicate(timeout=120)[1] for process in processes]
    return [process.returncode for process in processes], logs


def test_values_reach_all_hosts():
    statuses, logs = _run(_EXCHANGE)
    assert statuses == [0, 0], logs


def test_hosts_that_find_their_number_share_the_batch_and_then_their_cores(tmp_path):
    """A device a core before that would be more devices than chunks in the batch."""
    environment = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    slurm = {"JOB_ID": str(os.getpid()), "STEP_NODELIST": "localhost", "NTASKS": "2"}
    slurm |= {"STEP_NUM_TASKS": "2", "LOCALID": "0"}
    environment |= {f"SLURM_{key}": value for key, value in slurm.items()}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _AUTO, f"--output_dir={tmp_path}"],
            env={**environment, "JAX_PLATFORMS": "cpu", "SLURM_PROCID": number},
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in "01"
    ]
    logs = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], logs


def test_a_peer_that_dies_within_a_collective_is_named():
    statuses, logs = _run(_DIE)
    assert statuses == [EXIT_STATUS, -signal.SIGKILL], logs
    assert "error: host 1: its process has ended, or is no longer reachable. A run" in logs[0]
    assert "Traceback" not in logs[0]


def test_a_bug_of_one_host_ends_the_others():
    statuses, logs = _run(_BUG)
    assert statuses == [EXIT_STATUS, 1], logs
    assert "error: host 1: KeyError('a bug'). A run needs all of its hosts" in logs[0]
    assert "KeyError: 'a bug'" in logs[1] and "Traceback" in logs[1]


def test_a_mistake_on_one_host_ends_the_others():
    statuses, logs = _run(_ABORT)
    assert statuses == [EXIT_STATUS, 2], logs
    assert "error: host 1: a mistake. A run needs all of its hosts" in logs[0]


def test_one_host_has_nobody_to_wait_for():
    distributed.initialize(DistributedConfig())
    assert distributed.is_primary()
    assert distributed.broadcast_from_primary(lambda: (1, 2)) == (1, 2)
    assert distributed.gather({3}) == [{3}]
    distributed.abort(2, "nobody learns it")
    distributed.finish()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_processes": 2}, "the same on all hosts; got None"),
        ({"coordinator_address": "auto", "process_id": 0}, "the same on all hosts; got auto"),
        ({"coordinator_address": "a:1"}, "needs --num_processes and --process_id"),
        (
            {"coordinator_address": "a:65536", "num_processes": 2, "process_id": 0},
            "--coordinator_address=a:65536: expected HOST:PORT, or auto",
        ),
        (
            {"coordinator_address": "a:1", "num_processes": 2, "process_id": 2},
            "--process_id=2: expected 0 to 1, with --num_processes=2",
        ),
    ],
)
def test_hosts_that_cannot_be(settings, message):
    with pytest.raises(ConfigError, match=message):
        DistributedConfig(**settings)


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:5050", "[::1]:5050"])
def test_hosts_that_can(address):
    counts = {} if address == "auto" else {"num_processes": 2, "process_id": 1}
    assert DistributedConfig(coordinator_address=address, **counts).enabled
    assert not DistributedConfig().enabled
