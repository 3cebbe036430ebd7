"""How a host learns that another one is gone: a connection that breaks, or falls silent.

Collectives wait for ever for a host that has died, and JAX's own watch ends the others with a stack
trace after a minute and more. Here every host holds a connection to the first one. The kernel
closes it the moment a process ends, however it does; a machine that vanishes is noticed by its
silence. Then all of them end, and say why.

A line is a message: empty (still here), "bye" (finished) or the reason why the sender ends.
"""

import contextlib
import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self, TextIO

logger = logging.getLogger("wavestream")

STATUS = 3
"""The exit status of a host that ends because another one has."""

_PING_SECONDS = 5
_SILENCE_SECONDS = 45
_CONNECT_SECONDS = 60
_GRACE_SECONDS = 2
_WRITING_SECONDS = 60
_BYE = "bye"


writing = threading.Lock()
"""Held while something is written that must be whole; this process does not end meanwhile."""


class _Peer(NamedTuple):
    """A connection, and what comes over it."""

    connection: socket.socket
    lines: TextIO

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        return cls(connection, connection.makefile(errors="replace"))

    def say(self, line: str) -> None:
        self.connection.sendall(f"{line}\n".encode(errors="replace"))


class FailureDetector:
    """This host's end of the connections."""

    def __init__(self, index: int, peers: Mapping[int, _Peer]) -> None:
        """Watches.

        Args:
          index: of this host.
          peers: the connections: of host 0 to all the others, of any other to host 0.
        """
        self._index = index
        self._peers = peers
        for number, peer in peers.items():
            threading.Thread(target=self._listen, args=(number, peer), daemon=True).start()
        threading.Thread(target=self._ping, daemon=True).start()

    @classmethod
    def tie(
        cls, index: int, num_hosts: int, address: str, tell: Callable[[Callable], tuple[int, str]]
    ) -> Self:
        """Connects every host with the first one.

        Args:
          index: of this host.
          num_hosts: how many there are.
          address: of the first.
          tell: gives all hosts what a function returns on the first.

        Raises:
          OSError: a connection cannot be made.
        """
        with _server(num_hosts) as server:
            port, secret = tell(lambda: (server.getsockname()[1], secrets.token_hex(16)))
            if index:
                peer = _Peer.of(socket.create_connection((address, port), _CONNECT_SECONDS))
                peer.say(f"{secret} {index}")
                peer.connection.settimeout(_SILENCE_SECONDS)
                return cls(index, {0: peer})
            server.settimeout(_CONNECT_SECONDS)
            peers: dict[int, _Peer] = {}
            while len(peers) < num_hosts - 1:
                connection, _ = server.accept()
                connection.settimeout(_PING_SECONDS)  # Anything may knock at an open port.
                peer = _Peer.of(connection)
                known, number = "", ""
                with contextlib.suppress(OSError):
                    known, _, number = peer.lines.readline().partition(" ")
                if known == secret:
                    connection.settimeout(_SILENCE_SECONDS)
                    peers[int(number)] = peer
                else:
                    peer.lines.close()
                    connection.close()
        return cls(index, peers)

    def untie(self) -> None:
        """Says that this host has finished: its end is no failure."""
        self._say(_BYE)

    def cut(self, reason: str) -> None:
        """Tells the others why this host ends before it has finished."""
        self._say(f"host {self._index}: {' '.join(reason.split())}")

    def _say(self, line: str) -> None:
        for peer in self._peers.values():
            with contextlib.suppress(OSError):
                peer.say(line)

    def _ping(self) -> None:
        while True:
            threading.Event().wait(_PING_SECONDS)
            self._say("")

    def _listen(self, number: int, peer: _Peer) -> None:
        reason = f"host {number}: its process has ended, or cannot be reached any more"
        try:
            for line in peer.lines:
                if line.strip() == _BYE:
                    return
                if line.strip():
                    reason = line.strip()
                    # What is wrong on all hosts each of them tells itself, and ends.
                    threading.Event().wait(_GRACE_SECONDS)
                    break
        except TimeoutError:
            reason = f"host {number}: silent for {_SILENCE_SECONDS} seconds"
        except OSError:
            pass
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._index == 0:
            self._say(reason)
        if not writing.acquire(blocking=False) and writing.acquire(timeout=_WRITING_SECONDS):
            threading.Event().wait(_GRACE_SECONDS)  # Whoever waited for that may have more to tell.
        logger.error(
            "%s. A run needs all of its hosts: it ends here, too. The same command on all of them "
            "goes on from the last checkpoint",
            reason,
        )
        os._exit(STATUS)


def _server(num_hosts: int) -> socket.socket:
    """Listens at any port."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(
            ("", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=num_hosts
        )
    return socket.create_server(("", 0), backlog=num_hosts)
