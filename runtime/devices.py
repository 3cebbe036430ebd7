"""The hardware of this machine: cores, memory, accelerators.

JAX and TensorFlow are imported where they are used: commands import this module before they know
whether the flags are valid.
"""

import contextlib
import math
import os
import pathlib

from runtime.errors import ConfigError
from runtime.logging import quieten_libraries
from runtime.private_apis import import_tensorflow

_MAX_CPU_DEVICES = 16  # Each holds a copy of the state, and the activations of a chunk.
_COUNT_FLAG = "--xla_force_host_platform_device_count"
# XLA reports a CPU device that has waited 20 seconds in a collective as stuck, and then ends the
# process; some steps take longer. XLA aborts at flags that it does not know, hence the version.
_JAX_WITH_TIMEOUTS = (0, 8)
_TIMEOUTS = (
    "--xla_cpu_collective_call_terminate_timeout_seconds=1000000 "
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds=1000000"
)


def share_cores(batch_size: int, cores: int | None = None) -> None:
    """Splits the CPU into several JAX devices, one per core at most, that share a batch evenly.

    XLA spreads each operation of a device over all cores, and at the sizes of a training step the
    cores mostly wait for each other: with a device a core, each working on chunks of its own, two
    cores train 1.7 times as fast (`benchmarks/training_speed.py`). Accelerators stay as they are.

    Call it before JAX initializes its backends; later, or where XLA_FLAGS sets a number of devices
    already, it does nothing.

    Args:
      batch_size: chunks per batch of this host.
      cores: maximum number of devices; None: the available cores.
    """
    import jax

    given = os.environ.get("XLA_FLAGS", "")
    if jax.__version_info__[:2] < _JAX_WITH_TIMEOUTS or _COUNT_FLAG in given or _TIMEOUTS in given:
        return
    most = min(cores or available_cores(), _MAX_CPU_DEVICES)
    count = max(n for n in range(1, most + 1) if batch_size % n == 0)
    with contextlib.suppress(RuntimeError):  # The backends are initialized already.
        jax.config.update("jax_num_cpu_devices", count)
        os.environ["XLA_FLAGS"] = f"{_TIMEOUTS} {given}"


def available_cores() -> int:
    """Returns the number of cores that this process may use, within the limits of a container."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quotas = [tuple(limit.split()) for limit in _cgroup_limits("", "cpu.max")]
    quotas += zip(
        _cgroup_limits("cpu", "cpu.cfs_quota_us"),
        _cgroup_limits("cpu", "cpu.cfs_period_us"),
        strict=False,
    )
    for quota, period in quotas:
        if quota.isdigit():  # "max" or -1: there is no limit.
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(cores, 1)


def available_memory() -> int:
    """Returns the memory of this machine or container in bytes, free or not."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = _cgroup_limits("", "memory.max")
    limits += _cgroup_limits("memory", "memory.limit_in_bytes")
    return min([memory, *map(int, filter(str.isdigit, limits))])


def _cgroup_limits(controller: str, name: str) -> list[str]:
    """Returns a limit of the control group of this process and of those around it, as text.

    Within a container its group is often the root that it sees, whatever /proc says of its place.

    Args:
      controller: of version 1, which has a tree for each; empty: the one tree of version 2.
      name: of the file that holds the limit.
    """
    places = {"/"}
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controller in controllers.split(","):
                groups = pathlib.PurePosixPath(place)
                places |= {str(group) for group in (groups, *groups.parents)}
    limits = []
    for place in sorted(places):
        with contextlib.suppress(OSError):
            path = pathlib.Path("/sys/fs/cgroup", controller, place.lstrip("/"), name)
            limits.append(path.read_text().strip())
    return limits


def keep_tensorflow_off_accelerators() -> None:
    """Hides GPUs and TPUs from TensorFlow, which would allocate all of their memory."""
    quieten_libraries()
    tf = import_tensorflow()
    for kind in ("GPU", "TPU"):
        tf.config.set_visible_devices([], kind)


def platform() -> str:
    """Returns the platform of JAX's default backend: "cpu", "gpu" or "tpu".

    Raises:
      ConfigError: it cannot be used, such as a GPU that is not there.
    """
    import jax

    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # The second where no plugin is installed.
        chosen = os.environ.get("JAX_PLATFORMS", "")
        reason = f" ({' '.join(str(error).split())})" if str(error) else ""
        raise ConfigError(
            f"JAX cannot use its devices, with JAX_PLATFORMS={chosen!r}{reason}: expected a "
            "platform that is installed here, such as JAX_PLATFORMS=cpu"
        ) from error


def steps_in_flight() -> int:
    """Returns the maximum number of steps that may be queued on the devices."""
    # Steps queued on forced CPU devices can deadlock in the all-reduce, where there are fewer cores
    # than devices. On accelerators a few in flight hide the latency of dispatch.
    return 1 if platform() == "cpu" else 4
