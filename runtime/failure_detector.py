"""Detects that another host has failed: its connection closes, or its heartbeats stop.

A collective does not report why it fails. When the process of a peer ends, gloo raises a bare
ValueError within 20 ms; when its machine vanishes, the others wait until JAX ends them, with a
stack trace, after more than a minute. Here every host keeps the connection over which it has met
the primary. The kernel closes it when a process ends, for whatever reason; for a machine that
vanishes there is a timeout. Then all hosts log the reason and exit.

A line is a message: empty (a heartbeat), "bye" (finished) or the error that ends the sender.
"""

import contextlib
import dataclasses
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping

from runtime.logging import logger
from runtime.peer import Peer

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
      grace: for a host to report an error of its own, which may be the same on all hosts.
      write: for `write_lock` to be released.
    """

    heartbeat: float = 5.0
    silence: float = 45.0
    grace: float = 2.0
    write: float = 60.0


class FailureDetector:
    """This host's end of the connections; ends the process when another host fails."""

    def __init__(
        self,
        process_id: int,
        peers: Mapping[int, Peer],
        *,
        timeouts: Timeouts | None = None,
        end_process: Callable[[int], object] = os._exit,
    ) -> None:
        """Starts to listen and to send heartbeats.

        Args:
          process_id: of this host; 0 is the primary.
          peers: what `rendezvous.meet` returns.
          timeouts: the defaults if None.
          end_process: called with the exit status when another host has failed.
        """
        self._process_id, self._peers = process_id, peers
        self._timeouts, self._end_process = timeouts or Timeouts(), end_process
        for number, peer in peers.items():
            peer.connection.settimeout(self._timeouts.silence)
            threading.Thread(target=self._listen, args=(number, peer), daemon=True).start()
        threading.Thread(target=self._send_heartbeats, daemon=True).start()

    def close(self) -> None:
        """Reports that this host has finished, so that its end is no failure."""
        self._send(_BYE)

    def broadcast_error(self, error: str) -> None:
        """Reports the error that ends this host to the other hosts."""
        host = describe_host(self._process_id, socket.gethostname())
        self._send(f"{host}: {' '.join(error.split())}")

    def _send(self, line: str) -> None:
        for peer in self._peers.values():
            with contextlib.suppress(OSError):  # The thread that listens to this peer sees it, too.
                peer.send(line)

    def _send_heartbeats(self) -> None:
        while True:
            time.sleep(self._timeouts.heartbeat)
            self._send("")

    def _listen(self, number: int, peer: Peer) -> None:
        host = describe_host(number, peer.name)
        error = f"{host}: its process has ended, or is no longer reachable"
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
            error = f"{host}: no heartbeat for {self._timeouts.silence:g} seconds"
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


def describe_host(process_id: int, name: str) -> str:
    """Returns how messages call a host."""
    return f"host {process_id} ({name})"
