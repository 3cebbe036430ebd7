"""What this machine has for us: cores, memory, accelerators.

JAX and TensorFlow are imported where they are used, so that a mistake in a flag answers at once.
"""

import contextlib
import math
import os
import pathlib

from runtime.logging import quieten_libraries

_MAX_CPU_DEVICES = 16  # Each holds a copy of the state, and the activations of a chunk.
_COUNT_FLAG = "--xla_force_host_platform_device_count"
# A device that has waited 20 seconds for the others is reported as stuck, and then as dead, which
# ends the process; some steps take longer. XLA can be told to be patient, and refuses flags that
# it does not know, from this version of JAX on.
_PATIENT_JAX = (0, 8)
_PATIENCE_FLAGS = (
    "--xla_cpu_collective_call_terminate_timeout_seconds=1000000 "
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=1000000"
)


def share_cores(batch_size: int, cores: int | None = None) -> None:
    """Makes JAX see several CPU devices, as many as can share a batch, a core each at most.

    XLA spreads each operation of a device over all cores, and at the sizes of a training step the
    cores mostly wait for each other: with a device a core, each working on chunks of its own, two
    cores train 1.7 times as fast (`benchmarks/training_speed.py`). Accelerators stay as they are.

    To be called before JAX first looks for devices; later, or where XLA_FLAGS has a number of
    devices already, it does nothing.

    Args:
      batch_size: chunks that this host trains on at once.
      cores: the most devices; those that are available if None.
    """
    import jax

    given = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] < _PATIENT_JAX or _COUNT_FLAG in given or _PATIENCE_FLAGS in given:
        return
    most = min(cores or available_cores(), _MAX_CPU_DEVICES)
    count = max(n for n in range(1, most + 1) if batch_size % n == 0)
    with contextlib.suppress(RuntimeError):  # JAX has looked already.
        jax.config.update("jax_num_cpu_devices", count)
        os.environ["XLA_FLAGS"] = f"{_PATIENCE_FLAGS} {given}"


def available_cores() -> int:
    """Returns how many cores this process may use: a container's share, not the whole machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = _cgroup_limit("cpu.max").split()
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(cores, 1)


def available_memory() -> int:
    """Returns how many bytes of memory there are, free or not: a container's share of them."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):
        memory = min(memory, int(_cgroup_limit("memory.max")))
    return memory


def _cgroup_limit(name: str) -> str:
    """Returns a limit of the control group; no number, but "max", where there is none."""
    return pathlib.Path("/sys/fs/cgroup", name).read_text()


def keep_tensorflow_off_accelerators() -> None:
    """Leaves the GPU or TPU to JAX; TensorFlow would take all of its memory."""
    quieten_libraries()
    import tensorflow as tf

    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)


def platform() -> str:
    """Returns what JAX computes on: "cpu", "gpu" or "tpu"."""
    import jax

    return jax.default_backend()


def steps_in_flight() -> int:
    """Returns how many training steps may be queued on the devices at once."""
    # Queued pmapped steps can deadlock in the all-reduce of forced CPU devices. On others a few in
    # flight hide the latency of starting them.
    return 1 if platform() == "cpu" else 4
