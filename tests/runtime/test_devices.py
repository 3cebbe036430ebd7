"""What this machine has, and how many devices a CPU becomes."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from runtime import devices

pytestmark = pytest.mark.both_stacks

ROOT = pathlib.Path(__file__).parents[2]

_COUNT = """
from runtime import devices
devices.share_cores({batch_size}, {cores})
import jax
print(jax.local_device_count())
"""


def _count(cores: int, batch_size: int, xla_flags: str = "") -> int:
    done = subprocess.run(
        [sys.executable, "-c", _COUNT.format(cores=cores, batch_size=batch_size)],
        env={**os.environ, "XLA_FLAGS": xla_flags, "JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(jax.__version_info__ < (0, 8), reason="one device on an older JAX")
@pytest.mark.parametrize(("cores", "batch_size", "expected"), [(6, 8, 4), (3, 7, 1), (64, 128, 16)])
def test_the_most_devices_that_share_a_batch(cores, batch_size, expected):
    assert _count(cores, batch_size) == expected


def test_a_count_in_the_environment_stays():
    assert _count(2, 8, "--xla_force_host_platform_device_count=3") == 3


def test_too_late_is_no_error():
    before = jax.local_device_count(), os.environ.get("XLA_FLAGS")
    devices.share_cores(8)
    assert (jax.local_device_count(), os.environ.get("XLA_FLAGS")) == before


def test_there_are_cores_and_memory():
    assert 1 <= devices.available_cores() <= (os.cpu_count() or 1)
    assert 2**28 < devices.available_memory() < 2**50


@pytest.mark.parametrize(
    "files",
    [
        {"/sys/fs/cgroup/memory.max": "1000\n", "/sys/fs/cgroup/cpu.max": "150000 100000\n"},
        {  # Version 2, nested: a parent has the limit.
            "/proc/self/cgroup": "0::/user.slice/job-1\n",
            "/sys/fs/cgroup/user.slice/job-1/memory.max": "max\n",
            "/sys/fs/cgroup/user.slice/job-1/cpu.max": "max 100000\n",
            "/sys/fs/cgroup/user.slice/memory.max": "1000\n",
            "/sys/fs/cgroup/user.slice/cpu.max": "200000 100000\n",
        },
        {  # Version 1: a tree for each controller.
            "/proc/self/cgroup": "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n1:name=s:/x:y\n",
            "/sys/fs/cgroup/memory/docker/ab/memory.limit_in_bytes": "1000\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_quota_us": "130000\n",
            "/sys/fs/cgroup/cpu/docker/ab/cpu.cfs_period_us": "100000\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        {  # Version 1 in a container, which sees its own group as the root.
            "/proc/self/cgroup": "4:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "130000\n",
            "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
    ],
)
def test_the_limits_of_a_container(files, monkeypatch):
    def read_text(path):
        if str(path) not in files:
            raise FileNotFoundError(path)
        return files[str(path)]

    monkeypatch.setattr(pathlib.Path, "read_text", read_text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    assert devices.available_memory() == 1000
    assert devices.available_cores() == 2


def test_a_machine_without_limits(monkeypatch):
    def read_text(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(pathlib.Path, "read_text", read_text)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    assert devices.available_memory() > 2**28
    assert devices.available_cores() == 8


def test_the_steps_of_forced_cpu_devices_are_waited_for():
    assert (devices.platform(), devices.steps_in_flight()) == ("cpu", 1)


_QUIET = """
import sys
import runtime.devices
assert not {"jax", "tensorflow"} & sys.modules.keys()
runtime.devices.keep_tensorflow_off_accelerators()
import tensorflow as tf
assert not [d for d in tf.config.get_visible_devices() if d.device_type != "CPU"]
"""


def test_tensorflow_sees_the_cpu_alone_and_says_nothing():
    done = subprocess.run([sys.executable, "-c", _QUIET], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
