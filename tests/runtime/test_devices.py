"""What this machine has, and how many devices a CPU becomes."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from runtime import devices

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
