"""Files that are read, listed, renamed and removed: local ones, and remote ones by `tf.io.gfile`.

Local paths are strings as `os.fsdecode` makes them, so names that are not UTF-8 survive;
`tf.io.gfile` refuses a whole folder for one such name. TensorFlow is imported for remote paths
only.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import IO

from runtime.gfile import (
    is_object_store,
    is_remote,
    list_remote,
    open_gfile,
)

ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there; fewer than `size` only at the end of the file."""


def absolute(path: str) -> str:
    """Returns a path that is valid in any working directory; remote paths as they are."""
    return path if is_remote(path) else os.path.abspath(os.path.expanduser(path))


def cache_folder(name: str) -> str:
    """Returns a folder of this machine and user for what can be made again; it may be missing."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "wavestream", name)


def stat(path: str) -> tuple[int, int]:
    """Returns the size of a file in bytes and the time of its last change in nanoseconds.

    Raises:
      OSError: there is no such file, or it cannot be reached.
    """
    if is_remote(path):
        with open_gfile(path) as gfile:
            remote_status = gfile.stat(path)
            return remote_status.length, remote_status.mtime_nsec
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def exists(path: str) -> bool:
    """Whether there is a file.

    Raises:
      OSError: a remote file system cannot be reached.
    """
    try:
        stat(path)
    except OSError as error:
        if is_remote(path) and not isinstance(error, FileNotFoundError):
            raise
        return False
    return True


def is_folder(path: str) -> bool:
    """Whether there is a folder, which in a bucket holds something. Raises OSError."""
    return bool(list_remote(path)) if is_remote(path) else os.path.isdir(path)


def list_names(folder: str) -> list[str]:
    """Returns the names in a folder, in any order; none if there is no such folder.

    Raises:
      OSError: it cannot be listed.
    """
    if is_remote(folder):
        return list_remote(folder)
    with contextlib.suppress(FileNotFoundError):
        return os.listdir(folder)
    return []


def remove(path: str) -> None:
    """Removes a file. Raises OSError, FileNotFoundError among them."""
    if not is_remote(path):
        os.unlink(path)
        return
    with open_gfile(path) as gfile:
        gfile.remove(path)


def rename(path: str, new_path: str) -> None:
    """Renames a file or a folder; of a folder in a bucket one file after the other.

    Raises:
      OSError: it cannot be renamed.
    """
    if not is_remote(path):
        os.rename(path, new_path)
    elif names := list_remote(path):
        for name in sorted(names):
            rename(f"{path}/{name}", f"{new_path}/{name}")
    else:
        make_folder(os.path.dirname(new_path))
        with open_gfile(path) as gfile:
            gfile.rename(path, new_path)


def make_folder(folder: str) -> None:
    """Creates a folder if it is missing; buckets need none. Raises OSError."""
    if not is_remote(folder):
        os.makedirs(folder, exist_ok=True)
    elif not is_object_store(folder):
        with open_gfile(folder) as gfile:
            gfile.makedirs(folder)


@contextlib.contextmanager
def open_for_reads(path: str) -> Iterator[ReadAt]:
    """Opens a file for reads at any offset.

    Raises:
      OSError: the file cannot be opened or read.
    """
    if is_remote(path):
        with open_gfile(path) as gfile, gfile.GFile(path, "rb") as file:

            def read_at(offset: int, size: int) -> bytes:
                file.seek(offset)
                return file.read(size)

            yield read_at
        return
    descriptor = open_descriptor(path)
    try:
        yield lambda offset, size: os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


def open_descriptor(path: str) -> int:
    """Opens a local file to be read; the caller closes it. Raises OSError."""
    # Nonblocking: opening a FIFO that has replaced the file would wait for a writer.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


@contextlib.contextmanager
def open_binary(path: str) -> Iterator[IO[bytes]]:
    """Opens a file to read from anywhere in it. Raises OSError, within the block, too."""
    if is_remote(path):
        with open_gfile(path) as gfile, gfile.GFile(path, "rb") as file:
            yield file
        return
    with open(path, "rb") as file:
        yield file


def read_bytes(path: str) -> bytes:
    """Returns the content of a file. Raises OSError."""
    with open_binary(path) as file:
        return file.read()
