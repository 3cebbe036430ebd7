"""A lock on a folder of a bucket: a file that its holder writes anew every so many seconds.

Buckets have no locks that a dead process loses. So whoever finds the file waits to see whether it
is written again, unless it is long since it was, or its holder was a process of this machine that
has ended. Two that take it at once: the last to write has it, and the other reads so.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from typing import Any, Self

from runtime.atomic_files import write_bytes_atomically
from runtime.errors import TrainingError
from runtime.file_lock import held_by, this_holder
from runtime.filesystem import read_bytes, remove, stat
from runtime.logging import logger

_RENEW_S = 15.0
_EXPIRE_S = 60.0  # Some renewals may fail, or be slow.
_SETTLE_S = 2.0
_STALE_S = 900.0  # Clocks of machines differ by less.


class BucketLock:
    """Holds a remote file that no other process holds meanwhile; it names the holder."""

    def __init__(
        self,
        path: str,
        *,
        renew_s: float = _RENEW_S,
        expire_s: float = _EXPIRE_S,
        settle_s: float = _SETTLE_S,
    ) -> None:
        """Takes the lock; waits up to `expire_s` where a process that has died may have held it.

        Args:
          path: a remote file.
          renew_s: seconds between two renewals.
          expire_s: seconds without a renewal after which a lock is free.
          settle_s: seconds after which another that took it at the same time would have written.

        Raises:
          ConfigError: another process holds it.
          OSError: the file cannot be written.
        """
        self._path, self._renew_s = path, renew_s
        self._content: dict[str, Any] = {
            "holder": this_holder(),
            "process": [_machine(), os.getpid()],
            "token": secrets.token_hex(8),
            "renewals": 0,
        }
        self._await_release(expire_s)
        self._write()
        time.sleep(settle_s)
        if not self._is_ours(found := self._read()):
            raise held_by(found["holder"] if found else "another process", path)
        self._lost: dict[str, Any] | None = None
        self._is_closing = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lock", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_closing.set()
        self._thread.join(self._renew_s)
        with contextlib.suppress(OSError):
            if self._is_ours(self._read()):
                remove(self._path)

    def check(self) -> None:
        """Raises TrainingError if another process has taken the lock."""
        if self._lost is not None:
            raise TrainingError(
                f"{self._path} was taken by {self._lost['holder']}, while this run could not renew "
                "it: expected no other run to write the same files"
            )

    def _await_release(self, expire_s: float) -> None:
        first = found = self._read()
        if found is None or self._is_dead(found):
            return
        logger.info("%s: waiting to see whether %s still runs", self._path, found["holder"])
        end = time.monotonic() + expire_s
        while found == first and time.monotonic() < end:
            time.sleep(min(1.0, expire_s / 10))
            found = self._read()
        if found is not None and found != first:
            raise held_by(found["holder"], self._path)

    def _is_dead(self, found: dict[str, Any]) -> bool:
        machine, process = found["process"]
        if machine == _machine():
            return not os.path.exists(f"/proc/{process}")
        with contextlib.suppress(OSError):
            return time.time() - stat(self._path)[1] / 1e9 > _STALE_S
        return False

    def _renew(self) -> None:
        while not self._is_closing.wait(self._renew_s):
            with contextlib.suppress(OSError):  # Whoever writes something else tells of it.
                found = self._read()
                if found is not None and not self._is_ours(found):
                    self._lost = found
                    return
                self._content["renewals"] += 1
                self._write()

    def _is_ours(self, found: dict[str, Any] | None) -> bool:
        return found is not None and found["token"] == self._content["token"]

    def _read(self) -> dict[str, Any] | None:
        try:
            content = json.loads(read_bytes(self._path))
            return content if {"holder", "process", "token"} <= content.keys() else None
        except (FileNotFoundError, ValueError, AttributeError):
            return None

    def _write(self) -> None:
        write_bytes_atomically(self._path, json.dumps(self._content).encode())


def _machine() -> str:
    """Returns what two processes share if one sees whether the other runs; else unique."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return secrets.token_hex(8)
