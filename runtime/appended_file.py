"""A file that whole records are appended to, whatever becomes of its disk."""

import collections
import contextlib
import errno
import hashlib
import logging
import os
from collections.abc import Iterator

from runtime.atomic_files import write_atomically

logger = logging.getLogger("wavestream")  # Not by import: `runtime.logging` writes such a file.

_BLOCK_BYTES = 2**20


class AppendedFile:
    """Appends records to a local file, each of them whole or not at all.

    Records that cannot be written, such as on a full disk, wait in memory, and are written before
    the next one. A file that was removed meanwhile is made anew, with what was written before.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_waiting_bytes: int = 2**24) -> None:
        """Opens a file, which is created if missing.

        Args:
          path: a local file.
          max_waiting_bytes: limit on the records that wait; beyond it the oldest are lost.

        Raises:
          OSError: it cannot be opened.
        """
        self.path = os.path.abspath(path)
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: collections.deque[bytes] = collections.deque()
        self._waiting_bytes = 0
        self._is_flushing = False
        self._descriptor = self._open()
        self._forget_digest()

    def append(self, record: bytes) -> None:
        """Writes a record. Raises OSError if it must wait."""
        self._waiting.append(record)
        self._waiting_bytes += len(record)
        while self._waiting_bytes > self._max_waiting_bytes and not self._is_flushing:
            self._waiting_bytes -= len(self._waiting.popleft())
        self.flush()

    def flush(self) -> None:
        """Writes the records that wait. Raises OSError if some still must."""
        if self._is_flushing:  # A signal handler that logs: what it interrupts writes its record.
            return
        self._is_flushing = True
        try:
            self._find_again()
            while self._waiting:
                self._write(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        finally:
            self._is_flushing = False

    def position(self) -> tuple[int, str]:
        """Writes everything to the disk; returns its size and a digest of it. Raises OSError."""
        self.flush()
        os.fsync(self._descriptor)
        size = os.fstat(self._descriptor).st_size
        return size, self._digest_of(size)

    def truncate(self, size: int, digest: str) -> None:
        """Returns to an earlier position, and drops the records that wait.

        Raises:
          ValueError: the file had another content there.
          OSError: it cannot be truncated.
        """
        if self._digest_of(size) != digest:
            raise ValueError(f"{self.path} was changed by someone else")
        os.ftruncate(self._descriptor, size)
        self._waiting.clear()
        self._waiting_bytes = 0

    def close(self) -> None:
        """Closes the file. Raises OSError if records that wait are lost."""
        try:
            self.flush()
        finally:
            os.close(self._descriptor)

    def _open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _write(self, record: bytes) -> None:
        end = os.fstat(self._descriptor).st_size
        try:
            written = os.write(self._descriptor, record)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from error
        if written != len(record):
            os.ftruncate(self._descriptor, end)  # Else the next record would continue this part.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.path)

    def _find_again(self) -> None:
        """Goes on in the file of this path, if that is no longer the open one."""
        try:
            if os.path.samestat(os.stat(self.path), os.fstat(self._descriptor)):
                return
            is_removed = False
        except FileNotFoundError:
            is_removed = True
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            write_atomically(self.path, self._blocks(0, os.fstat(self._descriptor).st_size))
        descriptor = self._open()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._forget_digest()
        if is_removed:
            logger.warning("%s was removed during the run, and is made anew", self.path)

    def _forget_digest(self) -> None:
        self._digested, self._digest = 0, hashlib.blake2b(digest_size=16)

    def _digest_of(self, size: int) -> str:
        # Of what came since the last time only: a long run has many checkpoints.
        if size < self._digested:
            self._forget_digest()
        for block in self._blocks(self._digested, size):
            self._digest.update(block)
        self._digested = size
        return self._digest.hexdigest()

    def _blocks(self, begin: int, end: int) -> Iterator[bytes]:
        while begin < end and (
            block := os.pread(self._descriptor, min(_BLOCK_BYTES, end - begin), begin)
        ):
            yield block
            begin += len(block)
