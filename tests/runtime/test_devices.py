"""How many devices a CPU becomes."""

import os
import subprocess
import sys

import jax
import pytest

from runtime import devices
from tests.command_line import ROOT

_COUNT = """
from runtime import devices
devices._cores = lambda: {cores}
devices.share_cores({batch_size})
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


def test_there_is_a_core():
    assert 1 <= devices._cores() <= (os.cpu_count() or 1)
