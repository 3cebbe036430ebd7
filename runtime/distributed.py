"""Several hosts, one run: how they find each other, exchange values, and end.

Each host runs the same command on its own devices; JAX's collectives reduce over all of them. The
primary, host 0, is the only one that writes: the log, metrics, checkpoints and the model. A run on
one host calls these functions as well, and they do nothing.
"""

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn, TypeVar

from runtime import devices, jax_hosts
from runtime.cluster import DistributedConfig, locate
from runtime.errors import TrainingError
from runtime.failure_detector import FailureDetector, describe_host
from runtime.logging import logger
from runtime.proxies import bypass_proxies
from runtime.rendezvous import meet

T = TypeVar("T")

_WARN_SECONDS, _CONNECT_SECONDS = 20, 300
_DETECTOR_SECONDS = 10

# The index that the cluster gives a host, not `jax.process_index`: of a TPU slice JAX numbers the
# hosts anew, and the same host differently after a restart, whose files must be found again.
_process_id, _num_hosts = 0, 1
_detector: FailureDetector | None = None  # Where there are other hosts, until all have finished.


def initialize(
    config: DistributedConfig, set_up_devices: Callable[[int], None] = lambda num_hosts: None
) -> None:
    """Connects the hosts, if there are several. Call it before JAX initializes its backends.

    From then on this process ends when another host fails, and the others when this one does.

    Args:
      config: the hosts.
      set_up_devices: called with their number, if there are several, which "auto" tells only now,
        before JAX initializes its backends.

    Raises:
      TrainingError: hosts cannot be found or reached, or differ in their number of devices.
      ConfigError: see `devices.platform`.
    """
    global _process_id, _num_hosts, _detector
    if not config.enabled:
        return
    bypass_proxies()
    with _time_limit(f"--coordinator_address={config.coordinator_address}: no primary found"):
        place = locate(config, _CONNECT_SECONDS)
    address, count, number, _, id_name = place
    if count == 1:
        return
    logger.info("host %d of %d (%s), connecting with %s", number, count, id_name, address)
    peers = meet(
        *(address, count, number), id_name=id_name, warn_s=_WARN_SECONDS, timeout_s=_CONNECT_SECONDS
    )
    _process_id, _num_hosts, _detector = number, count, FailureDetector(number, peers)
    sys.excepthook = _abort_after_exception
    if number:  # The log of the run, which the primary writes, says it as well.
        here, primary = describe_host(number, socket.gethostname()), describe_host(0, peers[0].name)
        logger.info("this is %s; %s alone writes the files of the run", here, primary)
    missing = f"--coordinator_address={address}: the hosts have met, but JAX does not connect them"
    with _time_limit(missing):
        try:
            jax_hosts.connect(place, 2 * _CONNECT_SECONDS)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"{missing} ({error})") from error
    set_up_devices(count)
    if devices.platform() == "cpu":  # Raises what JAX would raise with a stack trace below.
        jax_hosts.warn_of_own_name(peers.values())
    jax_hosts.check_devices(count)


@contextlib.contextmanager
def _time_limit(problem: str) -> Iterator[None]:
    """Warns of what takes long within JAX, and ends this process when it takes too long."""
    timers = [
        threading.Timer(_WARN_SECONDS, logger.warning, [f"{problem}. Still waiting"]),
        threading.Timer(_CONNECT_SECONDS, _give_up, [problem]),
    ]
    try:
        for timer in timers:
            timer.start()
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _give_up(message: str) -> NoReturn:
    """Exits without clean-up: that of JAX waits for the hosts, and prints a stack trace."""
    logger.error(message)
    abort(2, message)
    os._exit(2)


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
    if _detector is None:
        return action()
    from runtime import host_messages

    content = b""
    if is_primary():
        try:
            content = host_messages.encode([action(), None])
        except Exception as error:
            failure = str(error) or type(error).__name__
            host_messages.broadcast(host_messages.encode([None, failure]), is_source=True)
            raise
    result, failure = host_messages.decode(host_messages.broadcast(content, is_primary()))
    if failure:
        raise TrainingError(f"on host 0: {failure}")
    return result


def gather(value: Any) -> list[Any]:
    """Returns the values of all hosts, by process id, on all of them.

    Args:
      value: JSON values, as in `broadcast_from_primary`.
    """
    if _detector is None:
        return [value]
    from runtime import host_messages

    contents = host_messages.all_gather(host_messages.encode([_process_id, value]))
    found = dict(map(host_messages.decode, contents))  # They come in JAX's order.
    return [found[number] for number in range(_num_hosts)]


def _abort_after_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    # Where a peer has died, collectives fail within milliseconds (those of gloo with a ValueError).
    # The failure detector finds the reason a moment later, and ends this process with that instead.
    time.sleep(_DETECTOR_SECONDS)
    sys.__excepthook__(kind, error, trace)
    abort(1, repr(error))
