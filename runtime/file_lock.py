"""A lock on the files of a run: two processes never write the same ones."""

import contextlib
import errno
import fcntl
import os
import socket
import time
from typing import Self

from runtime.errors import ConfigError, TrainingError
from runtime.logging import logger

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def this_holder() -> str:
    """Returns how a lock names this process, from now on."""
    since = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    return f"process {os.getpid()} on {socket.gethostname()}, since {since}"


def held_by(holder: str, path: str) -> ConfigError:
    """Returns the error of a lock that another process holds."""
    return ConfigError(
        f"{path} is held by {holder or 'another process'}: expected no other run to write the same "
        "files; wait for its end, or choose another --output_dir or --model_name"
    )


class FileLock:
    """Holds a file that no other process can hold meanwhile; it names the holder.

    The system releases it when the process ends, however it ends. On NFS that holds between hosts,
    too. Where the file system has no locks, a warning says so.
    """

    def __init__(self, path: str) -> None:
        """Takes the lock.

        Args:
          path: a local file; created if missing, and removed when it is released.

        Raises:
          ConfigError: another process holds it.
          OSError: the file cannot be written.
        """
        self._path = os.path.abspath(path)
        self._holder = this_holder()
        self._descriptor = self._acquire()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with contextlib.suppress(OSError):
            # Before it is released: afterwards it may be the next process's.
            if self._is_at_path(self._descriptor):
                os.unlink(self._path)
        os.close(self._descriptor)

    def check(self) -> None:
        """Takes the lock anew if its file was removed.

        Raises:
          TrainingError: another process holds it by now.
        """
        if self._is_at_path(self._descriptor):
            return
        # Not every file system keeps inodes.
        with contextlib.suppress(OSError), open(self._path, "rb") as file:
            if file.read() == self._holder.encode():
                return
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            descriptor = self._acquire()
        except ConfigError as error:
            raise TrainingError(f"the files of this run were removed, and {error}") from error
        except OSError:
            return  # Whoever writes next says why not.
        os.close(self._descriptor)
        self._descriptor = descriptor
        logger.warning(
            "%s was removed during the run: the folder is made anew, earlier checkpoints are lost",
            self._path,
        )

    def _is_at_path(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(descriptor))
        except OSError:
            return False

    def _acquire(self) -> int:
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._lock(descriptor)
                if self._is_at_path(descriptor):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, self._holder.encode(), 0)
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # Its holder has removed it since it was opened.

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 4096, 0).decode(errors="replace")
            raise held_by(holder, self._path) from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            logger.warning(
                "%s: this file system has no locks (%s): see that no other run writes the same "
                "files",
                self._path,
                error.strerror,
            )
