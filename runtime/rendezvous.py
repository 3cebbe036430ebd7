"""Hosts meet before JAX connects them, which ends a process with a C++ trace at a wrong flag.

The primary listens on the coordinator's port, until JAX does. Every host, the primary included,
sends it the line `wavestream {number of hosts} {process id}`. All are answered at the same time:
`ok` once they are complete, or the reason why they cannot run together.
"""

import contextlib
import socket
import threading
import time
from typing import Any

from runtime.errors import TrainingError
from runtime.logging import logger

_GREETING, _OK, _ERROR = "wavestream", "ok", "error: "
_HINT = "expected the same command on all hosts, and --process_id=0, 1, ... each once"
_HANDSHAKE_SECONDS = 5.0  # A stranger may connect and send nothing.
_GRACE_SECONDS = 3.0  # For hosts that are still starting, to learn why a run cannot begin.
_SECONDS_BETWEEN_TRIES = 0.2


def listen(port: int, backlog: int) -> socket.socket:
    """Listens on all addresses of this machine; port 0 is any free one. Raises OSError."""
    options: dict[str, Any] = {"backlog": backlog}
    if socket.has_dualstack_ipv6():
        options |= {"family": socket.AF_INET6, "dualstack_ipv6": True}
    return socket.create_server(("", port), **options)


def meet(
    address: str, num_processes: int, process_id: int, *, warn_s: float, timeout_s: float
) -> None:
    """Waits until all hosts of a run are there, each once.

    Args:
      address: HOST:PORT of the primary.
      num_processes: how many hosts there are.
      process_id: of this host; 0 is the primary.
      warn_s: after so long the log says who is missing.
      timeout_s: how long to wait.

    Raises:
      TrainingError: hosts have the same process id, or another number of hosts; or not all of them
        have come.
    """
    flag, (host, _, port) = f"--coordinator_address={address}", address.rpartition(":")
    warn_at, end = time.monotonic() + warn_s, time.monotonic() + timeout_s
    receiver = None
    if process_id == 0:
        try:
            server = listen(int(port), num_processes)
        except OSError as error:
            raise TrainingError(
                f"{flag}: host 0 cannot listen there ({error}): expected a free port of this "
                "machine, and --process_id=0 on one host alone"
            ) from error
        arguments = (server, flag, num_processes, warn_at, end)
        receiver = threading.Thread(target=_receive, args=arguments, daemon=True)
        receiver.start()
    greeting = f"{_GREETING} {num_processes} {process_id}\n"
    answer = _ask((host.strip("[]"), int(port)), greeting, flag, warn_at, end)
    if receiver is not None:
        receiver.join()  # From here on the port is JAX's.
    if answer == _OK:
        return
    if not answer:
        reason = f"host 0 has not answered in {timeout_s:g} s; {_HINT}"
    elif answer.startswith(_ERROR):
        reason = answer.removeprefix(_ERROR)
    else:  # Of JAX, once all hosts are there, or of another program.
        reason = f"another host has --process_id={process_id}, or a program the port; {_HINT}"
    raise TrainingError(f"{flag}: {reason}")


def _ask(address: tuple[str, int], greeting: str, flag: str, warn_at: float, end: float) -> str:
    """Returns the answer of the primary, which may start later; empty after the time `end`."""
    while (now := time.monotonic()) < end:
        if now > warn_at:
            warn_at = end
            logger.warning("%s: nothing answers there, still waiting for host 0", flag)
        with (
            contextlib.suppress(OSError),
            socket.create_connection(address, timeout=_HANDSHAKE_SECONDS) as connection,
            connection.makefile("rb") as lines,
        ):
            connection.sendall(greeting.encode())
            connection.settimeout(end - now + _HANDSHAKE_SECONDS)
            if answer := lines.readline(1000).decode(errors="replace").strip():
                return answer
        time.sleep(_SECONDS_BETWEEN_TRIES)
    return ""


def _receive(
    server: socket.socket, flag: str, num_processes: int, warn_at: float, end: float
) -> None:
    """Answers all hosts at once: when they are complete, or some seconds after a disagreement."""
    connections: list[socket.socket] = []
    hosts: set[int] = set()
    answer = ""
    server.settimeout(0.5)
    while (now := time.monotonic()) < end and answer != _OK:
        missing = ", ".join(str(n) for n in range(num_processes) if n not in hosts)
        if now > warn_at:
            warn_at = end
            logger.warning("%s: --process_id=%s has not come, still waiting", flag, missing)
        with contextlib.suppress(TimeoutError):
            connection, _ = server.accept()
            count, number = _read_greeting(connection) or (0, 0)
            if not count:
                connection.close()
                continue
            connections.append(connection)
            if answer:
                continue
            if count != num_processes:
                answer = f"{_ERROR}--num_processes={count} on host {number}, {num_processes} on 0"
            elif number in hosts:
                answer = f"{_ERROR}two hosts have --process_id={number}; {_HINT}"
            elif len(hosts | {number}) == num_processes:
                answer = _OK
            hosts.add(number)
            end = min(end, now + _GRACE_SECONDS) if answer else end
    server.close()
    answer = answer or f"{_ERROR}--process_id={missing} has not come; {_HINT}"
    for connection in connections:
        with contextlib.suppress(OSError), connection:
            connection.sendall(f"{answer}\n".encode())


def _read_greeting(connection: socket.socket) -> tuple[int, int] | None:
    """Returns the number of hosts and the process id that a host sends; None for a stranger."""
    connection.settimeout(_HANDSHAKE_SECONDS)
    with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as lines:
        name, count, number = lines.readline(100).decode(errors="replace").split()
        return (int(count), int(number)) if name == _GREETING else None
    return None
