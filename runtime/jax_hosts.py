"""JAX's side of a run on several hosts: its connections, and its devices."""

import contextlib
import inspect
import logging
import socket
from collections.abc import Iterable
from typing import Any

from runtime import private_apis
from runtime.cluster import Place
from runtime.errors import TrainingError
from runtime.logging import logger
from runtime.peer import Peer

# Without heartbeats from another process for this long, JAX ends this one with a C++ stack trace.
# Twice the timeout of our failure detector, which ends it with a readable error before that.
_HEARTBEAT_TIMEOUT_SECONDS = 90


def connect(place: Place, timeout_s: int) -> None:
    """Connects JAX with that of the other hosts, which are there.

    Raises:
      RuntimeError, ValueError: it cannot, with a message for programmers.
    """
    import jax

    for name in ("jax", private_apis.JAX_DISTRIBUTED_LOGGER):  # They log each step of connecting.
        logging.getLogger(name).setLevel(logging.WARNING)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.config.update("jax_check_proxy_envs", False)  # See `bypass_proxies`.
    options: dict[str, Any] = {"initialization_timeout": timeout_s}
    if "heartbeat_timeout_seconds" in inspect.signature(jax.distributed.initialize).parameters:
        options["heartbeat_timeout_seconds"] = _HEARTBEAT_TIMEOUT_SECONDS  # Default: 100.
    jax.distributed.initialize(
        place.address, place.num_processes, place.process_id, place.local_device_ids, **options
    )


def warn_of_own_name(peers: Iterable[Peer]) -> None:
    """Warns where JAX's collectives on CPUs would call another machine at this one's loopback.

    They connect with the address that each machine's own name has, which on some Linux systems is
    127.0.1.1, and give up after some seconds with a stack trace.
    """
    name = socket.gethostname()
    with contextlib.suppress(OSError):  # The name may have no address at all.
        own = socket.gethostbyname(name)
        if _is_loopback(own) and not all(_is_loopback(peer.address()) for peer in peers):
            logger.warning(
                "this machine's own name, %s, has the address %s, at which no other reaches it, "
                "and JAX's collectives on CPUs would use it: expected another one in /etc/hosts",
                name,
                own,
            )


def _is_loopback(address: str) -> bool:
    return address.removeprefix("::ffff:").startswith("127.") or address == "::1"


def check_devices(num_hosts: int) -> None:
    """Checks that JAX's devices are those of a run, evenly spread; initializes its backends.

    On a TPU slice of several hosts where nothing has told that it is one, JAX has the devices of
    all of them, and each would take itself for the one that writes.

    Raises:
      TrainingError: they are not.
    """
    import jax

    here, total, found = jax.local_device_count(), jax.device_count(), jax.process_count()
    if found != num_hosts:
        raise TrainingError(
            f"JAX has the devices of {found} hosts, and {num_hosts} take part in this run: "
            "expected the same command on all of them, with --coordinator_address=auto"
        )
    if num_hosts > 1 and total != here * num_hosts:
        raise TrainingError(
            f"this host has {here} of the {total} devices of {num_hosts} hosts: expected the same "
            "number on each (on CPUs, XLA_FLAGS=--xla_force_host_platform_device_count=N sets it)"
        )
