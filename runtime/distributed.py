"""Several hosts, one run: how they find each other, tell each other things, and end.

P hosts. Each runs the same command on devices of its own, and JAX's collectives join them. Host 0
is the one that writes: the log, metrics, checkpoints and the model. A run on one host goes through
here, too, and nothing happens.
"""

import dataclasses
import inspect
import logging
import os
import pickle
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn, TypeVar

import jax
import numpy as np

from runtime.failure_detector import FailureDetector
from training.config import HostsConfig
from training.metrics.accumulator import TrainingError

T = TypeVar("T")

# JAX ends a process with a stack trace when another has been silent for so long; the lifeline, in
# words, when it has for half as long.
_SILENCE_SECONDS = 90
_WARN_SECONDS, _CONNECT_SECONDS = 20, 300
_REASON_SECONDS = 10
_PIECE_BYTES = 2**26  # Bounds the device memory that telling something takes.

_lifeline: FailureDetector | None = None

logger = logging.getLogger("wavestream")


def connect(config: HostsConfig) -> None:
    """Joins the other hosts, if there are any. To be called before JAX looks for devices.

    Raises:
      TrainingError: they cannot be reached.
    """
    global _lifeline
    if not config.several:
        return
    missing = (
        f"--coordinator_address={config.coordinator_address}: the hosts have not found each other; "
        "is the same command running on all of them?"
    )
    waiting = [
        threading.Timer(_WARN_SECONDS, logger.warning, [f"{missing} Still waiting"]),
        threading.Timer(_CONNECT_SECONDS, _give_up, [missing]),
    ]
    try:
        for timer in waiting:
            timer.start()
        _initialize(config)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"{missing} ({error})") from error
    finally:
        for timer in waiting:
            timer.cancel()
    count = jax.process_count()
    if count == 1:
        return
    if jax.device_count() != jax.local_device_count() * count:
        raise TrainingError(
            f"of {jax.device_count()} devices on {count} hosts this one has "
            f"{jax.local_device_count()}: expected as many on each (of CPUs "
            "XLA_FLAGS=--xla_force_host_platform_device_count=N makes N)"
        )
    address = _address_of_first()
    try:
        _lifeline = FailureDetector.tie(jax.process_index(), count, address, broadcast_from_primary)
    except OSError as error:
        _give_up(
            f"the hosts and the first one, {address}, cannot connect ({error}): besides the "
            "coordinator's port it listens at one that its system chooses; expected both to be open"
        )
    sys.excepthook = _leave_after_bug


def _initialize(config: HostsConfig) -> None:
    for name in ("jax", "jax._src.distributed"):  # They tell of every step, and of what they lack.
        logging.getLogger(name).setLevel(logging.WARNING)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    given: dict[str, Any] = {"initialization_timeout": 2 * _CONNECT_SECONDS}
    if config.coordinator_address != "auto":
        given |= dataclasses.asdict(config)
    if "heartbeat_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        given["heartbeat_timeout_seconds"] = _SILENCE_SECONDS  # Else the default, 100.
    jax.distributed.initialize(**given)


def _give_up(message: str) -> NoReturn:
    """Ends the process; JAX would, too, but with a stack trace."""
    logger.error(message)
    os._exit(2)


def _address_of_first() -> str:
    from jax._src import distributed  # What "auto" has found is nowhere else.

    return str(distributed.global_state.coordinator_address).rpartition(":")[0].strip("[]")


def is_primary() -> bool:
    """Whether this is the host that writes."""
    return jax.process_index() == 0


def leave(status: int, reason: str) -> None:
    """Ends this process at once if there are other hosts, telling them why.

    They would wait for it, and it for them, were it to end as a program does. Returns where there
    are none.
    """
    if _lifeline is not None:
        _lifeline.cut(reason)
        os._exit(status)


def wait_for_reason(error: BaseException) -> None:
    """Gives the lifeline time to tell why another host has left a collective, and to end."""
    if _lifeline is not None and isinstance(error, jax.errors.JaxRuntimeError):
        time.sleep(_REASON_SECONDS)


def part() -> None:
    """Waits until all hosts are done; from then on each may end as it likes."""
    global _lifeline
    if _lifeline is not None:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("wavestream: done")
        _lifeline.untie()
        _lifeline = None


def broadcast_from_primary(action: Callable[[], T]) -> T:
    """Returns on all hosts what an action returns on the first, which alone runs it.

    Raises:
      TrainingError: the action has failed; on the first host, its own exception.
    """
    if jax.process_count() == 1:
        return action()
    if not is_primary():
        # Pickled by the same program on a host of the same run.
        result, failure = pickle.loads(_broadcast(b""))
        if failure:
            raise TrainingError(f"on the first host: {failure}")
        return result
    try:
        result = action()
    except Exception as error:
        _broadcast(pickle.dumps((None, str(error) or type(error).__name__)))
        raise
    _broadcast(pickle.dumps((result, None)))
    return result


def gather(value: Any) -> list[Any]:
    """Returns the values of all hosts, by their number, on all of them."""
    if jax.process_count() == 1:
        return [value]
    from jax.experimental import multihost_utils

    content = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.int32(content.size)).tolist()
    padded = np.zeros(max(sizes), np.uint8)
    padded[: content.size] = content
    contents = np.asarray(multihost_utils.process_allgather(padded))
    return [pickle.loads(row[:size].tobytes()) for row, size in zip(contents, sizes, strict=True)]


def total(counts: np.ndarray) -> np.ndarray:  # int64 [n] -> int64 [n]
    """Returns the sum over all hosts."""
    return np.sum(gather(counts), axis=0)


def _broadcast(content: bytes) -> bytes:
    """Returns the first host's content."""
    from jax.experimental import multihost_utils

    send = multihost_utils.broadcast_one_to_all
    pieces, rest = divmod(len(content), _PIECE_BYTES)
    pieces, rest = send(np.array([pieces, rest], np.int32)).tolist()
    sizes = [_PIECE_BYTES] * pieces + [rest]
    sent = []
    for number, size in enumerate(sizes):
        piece = np.zeros(size, np.uint8)
        if is_primary():
            piece = np.frombuffer(content, np.uint8, size, number * _PIECE_BYTES)
        sent.append(np.asarray(send(piece)).astype(np.uint8).tobytes())  # JAX 0.5 widens.
    return b"".join(sent)


def _leave_after_bug(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    sys.__excepthook__(kind, error, trace)
    leave(1, repr(error))
