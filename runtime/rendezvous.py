"""Hosts meet before JAX connects them, which ends a process with a C++ trace at a wrong flag.

The primary listens on the coordinator's port, until JAX does. Every host, the primary included,
sends it the line `wavestream {number of hosts} {process id} {host name}`. All are answered at the
same time: `ok {name of the primary}` once they are complete, or the reason why they cannot run
together. The connections stay, for the failure detector.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Set
from typing import Any

from runtime.errors import TrainingError
from runtime.logging import logger
from runtime.peer import Peer

_GREETING, _OK, _ERROR = "wavestream", "ok", "error: "
_HANDSHAKE_SECONDS = 5.0  # A stranger may connect and send nothing.
_GRACE_SECONDS = 3.0  # For hosts that are still starting, to learn why a run cannot begin.
_SECONDS_BETWEEN_TRIES = 0.2
_MAX_LINE = 1000


def meet(
    address: str,
    num_processes: int,
    process_id: int,
    *,
    id_name: str = "--process_id",
    warn_s: float,
    timeout_s: float,
) -> dict[int, Peer]:
    """Waits until all hosts of a run are there, each once.

    Args:
      address: HOST:PORT of the primary.
      num_processes: how many hosts there are.
      process_id: of this host; 0 is the primary.
      id_name: what says the process id, for messages.
      warn_s: after so long the log says who is missing.
      timeout_s: how long to wait.

    Returns:
      By process id, on the primary all other hosts, on each other one the primary.

    Raises:
      TrainingError: hosts have the same process id, or another number of hosts; or not all of them
        have come.
    """
    flag, (host, _, port) = f"--coordinator_address={address}", address.rpartition(":")
    hint = f"expected the same command on all hosts, and {id_name}=0, 1, ... each once"
    warn_at, end = time.monotonic() + warn_s, time.monotonic() + timeout_s
    reception = None
    if process_id == 0:
        try:
            server = _listen(int(port), num_processes)
        except OSError as error:
            raise TrainingError(
                f"{flag}: host 0 cannot listen there ({error}): expected a free port of this "
                f"machine, and {id_name}=0 on one host alone"
            ) from error
        reception = _Reception(server, num_processes, flag, id_name, hint)
        reception.start(warn_at, end)
    greeting = f"{_GREETING} {num_processes} {process_id} {socket.gethostname()}"
    answer, primary = _ask((host.strip("[]"), int(port)), greeting, flag, warn_at, end)
    verdict, _, name = answer.partition(" ")
    if reception is not None:
        reception.stop()  # From here on the port is JAX's.
    if verdict == _OK and primary is not None and reception is None:
        return {0: primary._replace(name=name)}
    if primary is not None:
        primary.close()
    if verdict == _OK and reception is not None:
        return reception.peers
    if not answer:
        reason = f"host 0 has not answered in {timeout_s:g} s; {hint}"
    elif answer.startswith(_ERROR):
        reason = answer.removeprefix(_ERROR)
    else:  # Of JAX, once all hosts are there, or of another program.
        reason = f"another host has {id_name}={process_id}, or a program the port; {hint}"
    raise TrainingError(f"{flag}: {reason}")


def _listen(port: int, backlog: int) -> socket.socket:
    """Listens on all addresses of this machine. Raises OSError."""
    options: dict[str, Any] = {"backlog": backlog}
    if socket.has_dualstack_ipv6():
        options |= {"family": socket.AF_INET6, "dualstack_ipv6": True}
    return socket.create_server(("", port), **options)


def _ask(
    address: tuple[str, int], greeting: str, flag: str, warn_at: float, end: float
) -> tuple[str, Peer | None]:
    """Returns the answer of the primary, which may start later; empty after the time `end`."""
    while (now := time.monotonic()) < end:
        if now > warn_at:
            warn_at = end
            logger.warning("%s: nothing answers there, still waiting for host 0", flag)
        with contextlib.suppress(OSError):
            peer = Peer.of(socket.create_connection(address, timeout=_HANDSHAKE_SECONDS))
            with contextlib.suppress(OSError):
                peer.send(greeting)
                peer.connection.settimeout(end - now + _HANDSHAKE_SECONDS)
                if answer := peer.lines.readline(_MAX_LINE).strip():
                    return answer, peer
            peer.close()
        time.sleep(_SECONDS_BETWEEN_TRIES)
    return "", None


class _Reception:
    """The primary's side, in a thread: the primary itself is one of those who ask."""

    def __init__(
        self, server: socket.socket, num_processes: int, flag: str, id_name: str, hint: str
    ) -> None:
        self.peers: dict[int, Peer] = {}
        self._server, self._num_processes = server, num_processes
        self._flag, self._id_name, self._hint = flag, id_name, hint
        self._stopped = threading.Event()

    def start(self, warn_at: float, end: float) -> None:
        self._thread = threading.Thread(target=self._run, args=(warn_at, end), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns once nobody listens any more; hosts that still wait are told."""
        self._stopped.set()  # Where another machine is the primary, nobody comes here.
        self._thread.join()

    def _run(self, warn_at: float, end: float) -> None:
        """Answers all hosts at once: when complete, or some seconds after a disagreement."""
        refused: list[Peer] = []
        answer = ""
        self._server.settimeout(0.5)
        while (now := time.monotonic()) < end and answer != _OK and not self._stopped.is_set():
            if now > warn_at:
                warn_at = end
                logger.warning("%s: %s, still waiting", self._flag, self._missing())
            with contextlib.suppress(TimeoutError):
                peer = Peer.of(self._server.accept()[0])
                count, number, name = _read_greeting(peer)
                if not count:
                    peer.close()
                elif problem := self._problem(count, number, name):
                    answer = answer or f"{_ERROR}{problem}"
                    refused.append(peer)
                else:
                    self._drop({number})
                    self.peers[number] = peer._replace(name=name)
                    # One that is started again has not come yet: another may have completed them.
                    self._drop({n for n, other in self.peers.items() if other.has_left()})
                    if len(self.peers) == self._num_processes and not answer:
                        answer = _OK
            end = min(end, now + _GRACE_SECONDS) if answer else end
        self._server.close()
        answer = answer or f"{_ERROR}{self._missing()}; {self._hint}"
        for peer in [*self.peers.values(), *refused]:
            with contextlib.suppress(OSError):
                peer.send(f"{_OK} {socket.gethostname()}" if answer == _OK else answer)
            if answer != _OK:
                peer.close()
        if 0 in self.peers:
            self.peers.pop(0).close()  # Which has been answered, and so reads to its end.

    def _drop(self, numbers: Set[int]) -> None:
        for number in numbers & self.peers.keys():
            self.peers.pop(number).close()

    def _missing(self) -> str:
        missing = (str(n) for n in range(self._num_processes) if n not in self.peers)
        return f"{self._id_name}={', '.join(missing)} has not come"

    def _problem(self, count: int, number: int, name: str) -> str:
        """Returns why a host that says this cannot take part; empty if it can."""
        if count != self._num_processes:
            other = f"{self._num_processes} on host 0 ({socket.gethostname()})"
            return f"--num_processes={count} on host {number} ({name}), {other}"
        earlier = self.peers.get(number)
        if earlier is not None and not earlier.has_left():  # Else it has been started again.
            names = f"{earlier.name} and {name}"
            return f"two hosts have {self._id_name}={number}, {names}; {self._hint}"
        return ""


def _read_greeting(peer: Peer) -> tuple[int, int, str]:
    """Returns what a host says: number of hosts, process id and name; zeros for a stranger."""
    peer.connection.settimeout(_HANDSHAKE_SECONDS)
    with contextlib.suppress(OSError, ValueError):
        greeting, count, number, name = peer.lines.readline(_MAX_LINE).split()
        if greeting == _GREETING:
            return int(count), int(number), name
    return 0, 0, ""
