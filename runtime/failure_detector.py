"""Detects that another host has failed: its connection closes, or its heartbeats stop.

A collective does not report why it fails. When the process of a peer ends, gloo raises a bare
ValueError within 20 ms; when its machine vanishes, the others wait until JAX ends them, with a
stack trace, after more than a minute. Here every host holds a connection to the primary. The kernel
closes it when a process ends, for whatever reason; for a machine that vanishes there is a timeout.
Then all hosts log the reason and exit.

A line is a message: empty (a heartbeat), "bye" (finished) or the error that ends the sender.
"""

import contextlib
import dataclasses
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Self, TextIO

from runtime.logging import logger
from runtime.rendezvous import listen

EXIT_STATUS = 3
"""The exit status of a host that ends because another one has failed."""

_BYE = "bye"

write_lock = threading.Lock()
"""Held while a checkpoint or a model is written: this process does not exit in the middle of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeouts:
    """All in seconds.

    Attributes:
      heartbeat: between two heartbeats.
      silence: without a heartbeat, until a host counts as failed.
      connect: for a host to connect to the primary.
      grace: for a host to report an error of its own, which may be the same on all hosts.
      write: for `write_lock` to be released.
    """

    heartbeat: float = 5.0
    silence: float = 45.0
    connect: float = 60.0
    grace: float = 2.0
    write: float = 60.0


class _Peer(NamedTuple):
    """A connection, and the lines that come over it."""

    connection: socket.socket
    lines: TextIO

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        return cls(connection, connection.makefile(errors="replace"))

    def send(self, line: str) -> None:
        self.connection.sendall(f"{line}\n".encode(errors="replace"))


class FailureDetector:
    """This host's end of the connections; ends the process when another host fails."""

    def __init__(
        self,
        process_id: int,
        peers: Mapping[int, _Peer],
        timeouts: Timeouts,
        end_process: Callable[[int], object],
    ) -> None:
        """Starts to listen and to send heartbeats; see `connect` for the arguments.

        The connections are those of the primary to all other hosts, or of another host to it.
        """
        self._process_id, self._peers = process_id, peers
        self._timeouts, self._end_process = timeouts, end_process
        for number, peer in peers.items():
            threading.Thread(target=self._listen, args=(number, peer), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    @classmethod
    def connect(
        cls,
        process_id: int,
        num_processes: int,
        primary: str,
        broadcast: Callable[[Callable[[], Sequence]], Sequence],
        *,
        timeouts: Timeouts | None = None,
        end_process: Callable[[int], object] = os._exit,
    ) -> Self:
        """Connects every host with the primary.

        Args:
          process_id: of this host; 0 is the primary.
          num_processes: how many hosts there are.
          primary: its host name or address.
          broadcast: returns on all hosts what a function returns on the primary.
          timeouts: the defaults if None.
          end_process: called with the exit status when another host has failed.

        Raises:
          OSError: a connection cannot be made.
        """
        timeouts = timeouts or Timeouts()
        with listen(0, num_processes) as server:
            # Anybody may connect to an open port, hence the secret.
            port, secret = broadcast(lambda: (server.getsockname()[1], secrets.token_hex(16)))
            if process_id:
                peer = _Peer.of(socket.create_connection((primary, port), timeouts.connect))
                peer.send(f"{secret} {process_id}")
                peer.connection.settimeout(timeouts.silence)
                peers = {0: peer}
            else:
                peers = _accept(server, num_processes - 1, secret, timeouts)
        return cls(process_id, peers, timeouts, end_process)

    def close(self) -> None:
        """Reports that this host has finished, so that its end is no failure."""
        self._send(_BYE)

    def broadcast_error(self, error: str) -> None:
        """Reports the error that ends this host to the other hosts."""
        self._send(f"host {self._process_id}: {' '.join(error.split())}")

    def _send(self, line: str) -> None:
        for peer in self._peers.values():
            with contextlib.suppress(OSError):  # The thread that listens to this peer sees it, too.
                peer.send(line)

    def _send_heartbeats(self) -> None:
        while True:
            time.sleep(self._timeouts.heartbeat)
            self._send("")

    def _listen(self, number: int, peer: _Peer) -> None:
        error = f"host {number}: its process has ended, or is no longer reachable"
        try:
            for line in peer.lines:
                if line.strip() == _BYE:
                    return
                if line.strip():
                    error = line.strip()
                    # All hosts may have the same error, such as a wrong flag: each logs its own.
                    time.sleep(self._timeouts.grace)
                    break
        except TimeoutError:
            error = f"host {number}: no heartbeat for {self._timeouts.silence:g} seconds"
        except OSError:
            pass
        self._end(error)

    def _end(self, error: str) -> None:
        if self._process_id == 0:
            self._send(error)  # The others are connected with the primary alone.
        is_idle = write_lock.acquire(blocking=False)
        if not is_idle and write_lock.acquire(timeout=self._timeouts.write):
            time.sleep(self._timeouts.grace)  # Whoever held the lock may have an error to report.
        logger.error(
            "%s. A run needs all of its hosts, so it ends on this one as well. The same command on "
            "all of them resumes from the last checkpoint",
            error,
        )
        self._end_process(EXIT_STATUS)


def _accept(server: socket.socket, count: int, secret: str, timeouts: Timeouts) -> dict[int, _Peer]:
    """Waits for `count` hosts, by process id; closes connections that do not send the secret."""
    server.settimeout(timeouts.connect)
    peers: dict[int, _Peer] = {}
    while len(peers) < count:
        connection, _ = server.accept()
        connection.settimeout(timeouts.heartbeat)  # A stranger may connect and send nothing.
        peer = _Peer.of(connection)
        known, number = "", ""
        with contextlib.suppress(OSError):
            known, _, number = peer.lines.readline().partition(" ")
        if known == secret:
            connection.settimeout(timeouts.silence)
            peers[int(number)] = peer
        else:
            peer.lines.close()
            connection.close()
    return peers
