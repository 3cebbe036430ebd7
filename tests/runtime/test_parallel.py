"""Data parallelism over two devices, in a process that has them."""

import os
import pathlib
import subprocess
import sys

import pytest

pytestmark = pytest.mark.both_stacks

ROOT = pathlib.Path(__file__).parents[2]

_PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from runtime import parallel

assert jax.local_device_count() == 2
rows = np.arange(6.0).reshape(2, 3)

def step(state, rows):
    reduced = {"sum": parallel.all_reduce_sum(rows), "max": parallel.all_reduce_max(rows)}
    return state["weight"] * rows, reduced

state = parallel.replicate({"weight": jnp.full([3], 2.0)})
assert state["weight"].shape == (2, 3)
for step in (parallel.pmap(step), parallel.pmap(step, donate_argnums=1)):
    (batch,) = parallel.prefetch_to_devices([rows])
    scaled, reduced = step(state, batch)
    np.testing.assert_array_equal(scaled, 2 * rows)
    np.testing.assert_array_equal(reduced["sum"], [[3, 5, 7]] * 2)
    np.testing.assert_array_equal(reduced["max"], [[3, 4, 5]] * 2)
    np.testing.assert_array_equal(parallel.unreplicate(reduced)["sum"], [3, 5, 7])
np.testing.assert_array_equal(parallel.unreplicate(state)["weight"], [2, 2, 2])
np.testing.assert_array_equal(parallel.tile(np.array([1, 2])), [[1, 2], [1, 2]])
assert parallel.tile(np.int32(3)).tolist() == [3, 3]
"""


def test_two_devices():
    flags = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **flags}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
