"""Files that are written as a whole or not at all, local ones and remote ones."""

import contextlib
import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from stat import S_ISREG
from typing import IO

from runtime.filesystem import exists, list_names, make_folder, remove
from runtime.gfile import is_remote, require_filesystem, write_remote

TEMPORARY_SUFFIX = ".tmp"
"""End of the name of a file that is not complete, or that a killed process has left."""
_TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{16}\.tmp")  # See `_temporary`.

_incomplete: set[str] = set()


def make_writable_folder(folder: str, flag: str) -> None:
    """Creates a folder if missing, before hours of work whose result is to be written there.

    Raises:
      OSError: it cannot be created or written; the message begins with the flag.
      MissingDependencyError, DataError: see `require_filesystem`.
    """
    if is_remote(folder):
        require_filesystem(folder)
        probe = _temporary(folder)
        try:
            write_bytes_atomically(probe, b"wavestream")
            # s3:// takes what may not be read for missing: a run would begin anew at each start.
            is_readable = os.path.basename(probe) in list_names(folder) and exists(probe)
            remove(probe)
        except OSError as error:
            reason = str(error).replace(probe, folder)
            raise type(error)(f"{flag} cannot be written: {reason}") from error
        if not is_readable:
            raise PermissionError(
                f"{flag}={folder} can be written, but not read: expected credentials that may do "
                "both"
            )
        return
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        if isinstance(error, FileExistsError | NotADirectoryError):
            why = "is not a folder" if os.path.lexists(folder) else "is below a file"
            raise NotADirectoryError(f"{flag}={folder} {why}") from error
        raise OSError(f"{flag}={folder} cannot be created: {error.strerror or error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{flag}={folder} is not writable")


def write_bytes_atomically(path: str, content: bytes) -> None:
    """Replaces a file: readers see the old or the new content, never a part.

    Of a link the file that it leads to is replaced.

    Raises:
      FileExistsError: there is a device, FIFO, socket or folder.
      OSError: the file cannot be written.
    """
    write_atomically(path, [content])


def write_atomically(path: str, parts: Iterable[bytes | memoryview]) -> None:
    """Like `write_bytes_atomically`, with the content in parts. Raises OSError."""
    if is_remote(path):
        make_folder(os.path.dirname(path))
        write_remote(path, _temporary(os.path.dirname(path)), parts)
        return
    with contextlib.suppress(FileNotFoundError):
        if not S_ISREG(os.stat(path).st_mode):
            raise FileExistsError(
                errno.EEXIST, "it is a device, FIFO, socket or folder, expected a file", path
            )
    target = os.path.realpath(path)
    temporary = _temporary(os.path.dirname(target))
    _incomplete.add(temporary)
    try:
        with _open_locked(temporary) as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
            os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), path) from error
        raise
    finally:
        _incomplete.discard(temporary)


def remove_incomplete_files() -> None:
    """Removes the local files that threads are writing, before the process ends without them."""
    for path in [*_incomplete]:
        with contextlib.suppress(OSError):
            os.unlink(path)


def remove_leftovers(folder: str) -> None:
    """Removes what killed processes have left in a local folder of `write_atomically`.

    Not what another process is writing, which holds a lock on it; nothing where there are no locks.
    """
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = list_names(folder)
    for path in (os.path.join(folder, name) for name in names if _TEMPORARY_NAME.fullmatch(name)):
        with contextlib.suppress(OSError), open(path, "r+b") as file:  # NFS locks no other.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)


@contextlib.contextmanager
def _open_locked(path: str) -> Iterator[IO[bytes]]:
    """Opens a file to be written, with a lock as long as it is open, where there are locks."""
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(open(path, "wb"))
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.exists(path):  # Else `remove_leftovers` was there before the lock.
                break
        yield file


def _temporary(folder: str) -> str:
    """Returns a path in a folder for a file that is not complete."""
    # Not tempfile: its files are private to the user, and the result would stay so. The name is
    # short: a name as long as the system allows has no room for a suffix. Random: processes of two
    # containers may have one number.
    return os.path.join(folder, f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
