"""Another host, at the end of a connection."""

import contextlib
import socket
from typing import NamedTuple, Self, TextIO


class Peer(NamedTuple):
    """A host at the other end of a connection over which lines are exchanged."""

    name: str
    connection: socket.socket
    lines: TextIO  # Reads ahead, so there is one of it for each connection.

    @classmethod
    def of(cls, connection: socket.socket) -> Self:
        """Returns a peer that has not said its name."""
        return cls("", connection, connection.makefile(errors="replace"))

    def address(self) -> str:
        """Returns its IP address. Raises OSError once it is gone."""
        return str(self.connection.getpeername()[0])

    def send(self, line: str) -> None:
        """Sends a line. Raises OSError."""
        self.connection.sendall(f"{line}\n".encode(errors="replace"))

    def close(self) -> None:
        """Closes the connection, whatever its state."""
        with contextlib.suppress(OSError):
            self.lines.close()
            self.connection.close()

    def has_left(self) -> bool:
        """Whether its end is closed; only where nothing is to be read."""
        timeout = self.connection.gettimeout()
        try:
            self.connection.setblocking(False)
            return not self.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(timeout)
