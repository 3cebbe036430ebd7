"""A device a core, where JAX has nothing better than a CPU.

XLA spreads each operation of a device over all cores, and at the sizes of a training step the cores
mostly wait for each other: with a device a core, each working on chunks of its own, two cores
train 1.7 times as fast (`benchmarks/training_speed.py`). Accelerators are not touched by this.
"""

import contextlib
import math
import os
import pathlib

import jax

_MOST = 16  # Each holds a copy of the state, and the activations of a chunk.
_COUNT_FLAG = "--xla_force_host_platform_device_count"
# A device that has waited 20 seconds for the others is reported as stuck, and then as dead, which
# ends the process; some steps take longer. XLA can be told to be patient, and refuses flags that
# it does not know, from this version of JAX on.
_PATIENT = (0, 8)
_PATIENCE = (
    "--xla_cpu_collective_call_terminate_timeout_seconds=1000000 "
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=1000000"
)


def share_cores(batch_size: int) -> None:
    """Has JAX see as many CPU devices as can share a batch, a core each at most.

    To be called before JAX first looks for devices; later, or where XLA_FLAGS counts them already,
    it does nothing.
    """
    given = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] < _PATIENT or _COUNT_FLAG in given or _PATIENCE in given:
        return
    count = max(n for n in range(1, min(_cores(), _MOST) + 1) if batch_size % n == 0)
    with contextlib.suppress(RuntimeError):  # It has looked already.
        jax.config.update("jax_num_cpu_devices", count)
        os.environ["XLA_FLAGS"] = f"{_PATIENCE} {given}"


def _cores() -> int:
    """Returns how many cores this process may use: a container's share, not the whole machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, math.ceil(int(quota) / int(period)))  # ValueError where it is "max"
    return max(cores, 1)
