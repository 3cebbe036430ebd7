"""Several hosts, one run: how they find each other, exchange values, and end.

Each host runs the same command on its own devices; JAX's collectives reduce over all of them. The
primary, host 0, is the only one that writes: the log, metrics, checkpoints and the model. A run on
one host calls these functions as well, and they do nothing.
"""

import dataclasses
import inspect
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from runtime import devices, private_apis
from runtime.errors import ConfigError, TrainingError
from runtime.failure_detector import FailureDetector
from runtime.logging import logger
from runtime.rendezvous import meet

T = TypeVar("T")

# Without heartbeats from another process for this long, JAX ends this one with a C++ stack trace.
# Twice the timeout of our failure detector, which ends it with a readable error before that.
_JAX_HEARTBEAT_TIMEOUT_SECONDS = 90
_WARN_SECONDS, _CONNECT_SECONDS = 20, 300
_DETECTOR_SECONDS = 10

_process_id, _num_hosts = 0, 1
_detector: FailureDetector | None = None  # Where there are other hosts, until all have finished.


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistributedConfig:
    """The hosts of a run; by default this one alone.

    Attributes:
      coordinator_address: HOST:PORT of the primary; "auto": JAX detects all three in the
        environment of a TPU VM, Slurm or Open MPI.
      num_processes: number of hosts, one process each.
      process_id: index of this host, from 0.

    Raises:
      ConfigError: a field is missing or out of bounds.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        address, count, number = self.coordinator_address, self.num_processes, self.process_id
        if address in (None, "auto"):
            if (count, number) != (None, None):
                raise ConfigError(
                    "--num_processes and --process_id need --coordinator_address=HOST:PORT, the "
                    f"same on all hosts; got {address}"
                )
            return
        if count is None or number is None:
            raise ConfigError("--coordinator_address needs --num_processes and --process_id")
        match = re.fullmatch(r"[^/]+:(\d{1,5})", str(address))
        if not match or int(match[1]) >= 2**16:
            raise ConfigError(f"--coordinator_address={address}: expected HOST:PORT, or auto")
        if not 0 <= number < count:
            raise ConfigError(
                f"--process_id={number}: expected 0 to {count - 1}, with --num_processes={count}"
            )

    @property
    def enabled(self) -> bool:
        """Whether there may be other hosts."""
        return self.coordinator_address is not None


def initialize(
    config: DistributedConfig, set_up_devices: Callable[[int], None] = lambda num_hosts: None
) -> None:
    """Connects the hosts, if there are several. Call it before JAX initializes its backends.

    From then on this process ends when another host fails, and the others when this one does.

    Args:
      config: the hosts.
      set_up_devices: called with their number, which "auto" tells only now, before JAX initializes
        its backends.

    Raises:
      TrainingError: hosts cannot be reached, or differ in their number of devices.
      ConfigError: see `devices.platform`.
    """
    global _process_id, _num_hosts, _detector
    if not config.enabled:
        return
    missing = (
        f"--coordinator_address={config.coordinator_address}: the hosts have not found each other; "
        "is the same command running on all of them?"
    )
    bypass_proxies()
    if config.coordinator_address != "auto":
        address, count, number = dataclasses.astuple(config)
        meet(address, count, number, warn_s=_WARN_SECONDS, timeout_s=_CONNECT_SECONDS)
    timers = [
        threading.Timer(_WARN_SECONDS, logger.warning, [f"{missing} Still waiting"]),
        threading.Timer(_CONNECT_SECONDS, _give_up, [missing]),
    ]
    try:
        for timer in timers:
            timer.start()
        _initialize_jax(config)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{missing} ({error})") from error
    finally:
        for timer in timers:
            timer.cancel()
    _num_hosts = private_apis.num_hosts()
    set_up_devices(_num_hosts)
    devices.platform()  # Raises what jax.process_index would raise with a stack trace.
    import jax

    number, count = jax.process_index(), jax.process_count()
    if count == 1:
        return
    if jax.device_count() != jax.local_device_count() * count:
        raise TrainingError(
            f"this host has {jax.local_device_count()} of the {jax.device_count()} devices of "
            f"{count} hosts: expected the same number on each (on CPUs, "
            "XLA_FLAGS=--xla_force_host_platform_device_count=N sets it)"
        )
    host = private_apis.coordinator_host()
    try:
        detector = FailureDetector.connect(number, count, host, _broadcast)
    except OSError as error:
        _give_up(
            f"cannot connect with host 0, {host} ({error}): besides the coordinator's port it "
            "listens on a port that its system chooses; expected both to be open in a firewall"
        )
    _process_id, _detector = number, detector
    sys.excepthook = _abort_after_exception


def _initialize_jax(config: DistributedConfig) -> None:
    import jax

    for name in ("jax", private_apis.JAX_DISTRIBUTED_LOGGER):  # They log each step of connecting.
        logging.getLogger(name).setLevel(logging.WARNING)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_check_proxy_envs", False)  # See `bypass_proxies`.
    options: dict[str, Any] = {"initialization_timeout": 2 * _CONNECT_SECONDS}
    if config.coordinator_address != "auto":
        options |= dataclasses.asdict(config)
    if "heartbeat_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        options["heartbeat_timeout_seconds"] = _JAX_HEARTBEAT_TIMEOUT_SECONDS  # Default: 100.
    jax.distributed.initialize(**options)


def _give_up(message: str) -> NoReturn:
    """Exits without clean-up: that of JAX waits for the hosts, and prints a stack trace."""
    logger.error(message)
    os._exit(2)


def bypass_proxies() -> None:
    """Has gRPC, of TensorFlow and of JAX, connect hosts directly, in spite of `http_proxy`.

    A proxy for the Internet does not know them, and gRPC would wait for it forever. Downloads from
    buckets still go through it, and so does gRPC where `grpc_proxy` says so.
    """
    # Only where there is one: the gRPC of older versions logs that the empty value is no address.
    if any(os.environ.get(name) for name in ("http_proxy", "https_proxy")):
        os.environ.setdefault("grpc_proxy", "")


def num_hosts() -> int:
    """Returns the number of hosts of the run, without starting JAX's backends."""
    return _num_hosts


def is_primary() -> bool:
    """Whether this is the host that writes."""
    return _process_id == 0


def abort(status: int, reason: str) -> None:
    """Exits at once if there are other hosts, which log the reason and exit as well.

    A normal exit would wait for the other hosts, and they for this one. Returns if there are none.

    Args:
      status: exit status of this process.
      reason: the error, for the logs of the other hosts.
    """
    if _detector is not None:
        _detector.broadcast_error(reason)
        os._exit(status)


def finish() -> None:
    """A barrier: waits until all hosts have finished; from then on the end of one is no failure."""
    global _detector
    if _detector is not None:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("wavestream: finished")
        _detector.close()
        _detector = None


def broadcast_from_primary(action: Callable[[], T]) -> T:
    """Runs an action on the primary, and returns its result on all hosts.

    Args:
      action: returns JSON values and NumPy arrays. On several hosts, tuples become lists.

    Raises:
      TrainingError: the action has failed on the primary, where its own exception is raised.
    """
    return action() if _detector is None else _broadcast(action)


def gather(value: Any) -> list[Any]:
    """Returns the values of all hosts, by process id, on all of them.

    Args:
      value: JSON values, as in `broadcast_from_primary`.
    """
    if _detector is None:
        return [value]
    from runtime import host_messages

    return [
        host_messages.decode(content)
        for content in host_messages.all_gather(host_messages.encode(value))
    ]


def _broadcast(action: Callable[[], T]) -> T:
    import jax

    from runtime import host_messages

    content = b""
    if jax.process_index() == 0:  # Not `is_primary`: the failure detector connects through this.
        try:
            content = host_messages.encode([action(), None])
        except Exception as error:
            host_messages.broadcast(
                host_messages.encode([None, str(error) or type(error).__name__])
            )
            raise
    result, failure = host_messages.decode(host_messages.broadcast(content))
    if failure:
        raise TrainingError(f"on host 0: {failure}")
    return result


def _abort_after_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    # Where a peer has died, collectives fail within milliseconds (those of gloo with a ValueError).
    # The failure detector finds the reason a moment later, and ends this process with that instead.
    time.sleep(_DETECTOR_SECONDS)
    sys.__excepthook__(kind, error, trace)
    abort(1, repr(error))
