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
from runtime.failure_detector import EXIT_STATUS
from tests.ports import free_port
from tests.two_machines import ADDRESSES, two_machines

ROOT = pathlib.Path(__file__).parents[2]

HOST_1 = f"host 1 ({socket.gethostname()})"

_HOST = """
import json, os, sys, time
import numpy as np
from runtime import distributed
from runtime.cluster import DistributedConfig
from runtime.errors import TrainingError
from runtime.logging import start_logging

hosts, shift, number = map(int, sys.argv[2:])

def set_up_devices(num_hosts):
    # On a TPU slice JAX numbers the hosts by their place in it, whatever number they were given:
    # its host 0 is not the coordinator. Here the CPUs are told such a number.
    from jax._src.distributed import global_state
    assert num_hosts == hosts
    global_state.process_id = (number + shift) % hosts

start_logging(None)
distributed.initialize(DistributedConfig(
    coordinator_address=sys.argv[1], num_processes=hosts, process_id=number), set_up_devices)
assert distributed.is_primary() == (number == 0)
"""

_EXCHANGE = """
import jax

assert jax.process_index() == (number + shift) % hosts

def on_the_primary():
    assert number == 0
    return {"steps": (1, 2), "state": np.arange(3), "nothing": None}

got = distributed.broadcast_from_primary(on_the_primary)
got["state"] = got["state"].tolist()
assert got == {"steps": [1, 2], "state": [0, 1, 2], "nothing": None}, got
assert distributed.gather(["of", number]) == [["of", n] for n in range(hosts)]
assert distributed.gather(number * "x") == ["", "x", "xx"][:hosts]
(total,) = {*sum(distributed.gather(np.full(2, 2**40 + number))).tolist()}
assert total == hosts * 2**40 + sum(range(hosts))

def fails():
    raise KeyError("no such thing")

try:
    distributed.broadcast_from_primary(fails)
except (KeyError if number == 0 else TrainingError) as error:
    assert "no such thing" in str(error)
distributed.finish()
assert distributed.is_primary() == (number == 0)
time.sleep(3 * number)  # That the other processes have ended is no failure.
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


# Where a cluster says who is who, no flag is needed.
_FOUND = """
from commands.errors import readable_errors
from runtime import distributed
from runtime.cluster import DistributedConfig
from runtime.logging import start_logging

start_logging(None)
with readable_errors():
    distributed.initialize(DistributedConfig().or_found())
assert distributed.num_hosts() == 2
distributed.finish()
"""

# As `train` does.
_TRAIN = """
import contextlib, sys
from commands import train
from runtime import distributed
from tests.command_line import parsed

with contextlib.ExitStack() as stack:
    train.start(parsed("--audio_dir=.", "--batch_size=2", *sys.argv[1:]), stack)
    assert distributed.num_hosts() == 2
    distributed.finish()
"""

# Nothing listens at this proxy: hosts must not ask it for each other.
_PROXIES = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY"), "http://127.0.0.1:9")


def _run(program, hosts=2, shift=0):
    """Runs the program on some hosts; returns their statuses and what they log."""
    arguments = (f"localhost:{free_port()}", str(hosts), str(shift))
    return _finish([_start(_HOST + program, *arguments, str(n)) for n in range(hosts)])


def _run_on_two_machines(program, **options):
    with two_machines(**options) as machines:
        arguments = (f"{ADDRESSES[0]}:1234", "2", "1")
        return _finish(
            [
                _start(_HOST + program, *arguments, str(number), python=python)
                for number, python in enumerate(machines)
            ]
        )


def _start(program, *arguments, python=(sys.executable,), **environment):
    return subprocess.Popen(
        [*python, "-c", program, *arguments],
        cwd=ROOT,
        env={**os.environ, **_PROXIES, "JAX_PLATFORMS": "cpu", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(processes):
    logs = [process.communicate(timeout=120)[1] for process in processes]
    return [process.returncode for process in processes], logs


@pytest.mark.both_stacks
def test_values_reach_all_hosts_however_jax_numbers_them():
    statuses, logs = _run(_EXCHANGE, hosts=3, shift=1)
    assert statuses == [0, 0, 0], logs
    name = socket.gethostname()
    for number, log in enumerate(logs[1:], 1):
        assert f"this is host {number} ({name}); host 0 ({name}) alone writes the files" in log


def test_the_coordinator_is_not_the_machine_that_jax_calls_its_first():
    statuses, logs = _run_on_two_machines(_EXCHANGE)
    assert statuses == [0, 0], logs
    one, other = ADDRESSES
    assert f"this is host 1 ({other}); host 0 ({one}) alone writes the files" in logs[1]
    assert "warning" not in "".join(logs)


def test_machines_that_call_themselves_localhost():
    """As Debian does, with 127.0.1.1: the first collective of CPUs would fail."""
    # No collective, no exchange: the one that ends first ends the other.
    program = "time.sleep(3); os._exit(0)"
    _, logs = _run_on_two_machines(program, names=("localhost", "localhost"))
    for log in logs:
        assert "warning: this machine's own name, localhost, has the address 127.0.0.1, at" in log


_SLURM = {
    **{"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost"},
    **{"SLURM_NTASKS": "2", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "0"},
}
# Two slices of one host each, as in Kubernetes. JAX takes this machine for a TPU VM.
_TPU_SLICES = {
    **{"JAX_FORCE_TPU_INIT": "1", "TPU_SKIP_MDS_QUERY": "true"},
    **{"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"},
    **{"MEGASCALE_NUM_SLICES": "2", "MEGASCALE_COORDINATOR_ADDRESS": "localhost"},
}


def test_slices_find_each_other():
    processes = [_start(_FOUND, **_TPU_SLICES, MEGASCALE_SLICE_ID=number) for number in "01"]
    statuses, logs = _finish(processes)
    assert statuses == [0, 0], logs
    assert "host 0 of 2 (process id), connecting with localhost:" in logs[0]
    assert f"this is {HOST_1}" in logs[1]


@pytest.mark.slow
@pytest.mark.both_stacks
def test_hosts_that_find_their_number_share_the_batch_and_then_their_cores(tmp_path):
    """A device a core before that would be more devices than chunks in the batch."""
    options = {**_SLURM, "XLA_FLAGS": ""}
    statuses, logs = _finish(
        [_start(_TRAIN, f"--output_dir={tmp_path}", **options, SLURM_PROCID=n) for n in "01"]
    )
    assert statuses == [0, 0], logs


def test_hosts_that_a_cluster_gives_one_number():
    options = {**_SLURM, "SLURM_NTASKS": "3", "SLURM_STEP_NUM_TASKS": "3"}
    statuses, logs = _finish([_start(_FOUND, **options, SLURM_PROCID=n) for n in "011"])
    assert statuses == [2, 2, 2], logs
    for log in logs:
        assert "two hosts have SLURM_PROCID=1, " in log and "Traceback" not in log


@pytest.mark.both_stacks
def test_a_peer_that_dies_within_a_collective_is_named():
    statuses, logs = _run(_DIE)
    assert statuses == [EXIT_STATUS, -signal.SIGKILL], logs
    assert f"error: {HOST_1}: its process has ended, or is no longer reachable. A run" in logs[0]
    assert "Traceback" not in logs[0]


@pytest.mark.slow
def test_a_bug_of_one_host_ends_the_others():
    statuses, logs = _run(_BUG)
    assert statuses == [EXIT_STATUS, 1], logs
    assert f"error: {HOST_1}: KeyError('a bug'). A run needs all of its hosts" in logs[0]
    assert "KeyError: 'a bug'" in logs[1] and "Traceback" in logs[1]


def test_a_mistake_on_one_host_ends_the_others():
    statuses, logs = _run(_ABORT)
    assert statuses == [EXIT_STATUS, 2], logs
    assert f"error: {HOST_1}: a mistake. A run needs all of its hosts" in logs[0]


def test_one_host_has_nobody_to_wait_for():
    distributed.initialize(DistributedConfig())
    assert distributed.is_primary()
    assert distributed.broadcast_from_primary(lambda: (1, 2)) == (1, 2)
    assert distributed.gather({3}) == [{3}]
    distributed.abort(2, "nobody learns it")
    distributed.finish()
