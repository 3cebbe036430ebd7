"""Reading and writing files, local ones through `os` and remote ones through `tf.io.gfile`.

Local paths are strings as `os.fsdecode` makes them, so names that are not UTF-8 survive;
`tf.io.gfile` refuses a whole folder for one such name. TensorFlow is imported for remote paths
only.
"""

import contextlib
import ctypes
import os
import re
import secrets
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from runtime.errors import DataError, MissingDependencyError

ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there; fewer than `size` only at the end of the file."""

TEMPORARY_SUFFIX = ".tmp"
"""End of the name of a file that is not complete, or that a killed process has left."""

_import_lock = threading.Lock()


def is_remote(path: str) -> bool:
    """Whether the path has a scheme, like gs://bucket/folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def absolute(path: str) -> str:
    """Returns a path that is valid in any working directory; remote paths as they are."""
    return path if is_remote(path) else os.path.abspath(os.path.expanduser(path))


def require_filesystem(path: str) -> None:
    """Makes the file system of a path available to TensorFlow; gs:// and local paths just are.

    Raises:
      MissingDependencyError: the scheme needs tensorflow-io, which is missing or does not fit this
        TensorFlow.
      DataError: the scheme is unknown.
    """
    if not is_remote(path):
        return
    import tensorflow as tf

    scheme = path.split("://")[0]
    with _import_lock:
        if scheme in tf.io.gfile.get_registered_schemes():
            return
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # The second error below says the same in full.
                import tensorflow_io as tfio
        except ImportError as error:
            raise MissingDependencyError(
                f"{path!r}: {scheme}:// paths need tensorflow-io: pip install 'wavestream[io]'"
            ) from error
        _survive_exit()
        # Under a TensorFlow that it was not built for it imports, but registers no file systems.
        schemes = tf.io.gfile.get_registered_schemes()
        if "s3" not in schemes:
            raise MissingDependencyError(
                f"{path!r}: tensorflow-io {tfio.__version__} cannot load its file systems under "
                f"TensorFlow {tf.__version__}; install versions that fit each other, in a new "
                "environment: pip install 'wavestream[io]'"
            )
        if scheme not in schemes:
            known = ", ".join(f"{known}://" for known in sorted(filter(None, schemes)))
            raise DataError(f"{path!r}: unknown scheme {scheme}://, expected one of {known}")


def _survive_exit() -> None:
    """Keeps the exit status of a process that has used s3:// of tensorflow-io.

    The destructors of its AWS library call into a dead object and abort (tensorflow-io issue 2039),
    so on Linux the process exits after the clean-up of Python and before these destructors.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.on_exit(libc._exit, None)


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
    """Whether there is a file; False also where it cannot be reached."""
    try:
        stat(path)
    except OSError:
        return False
    return True


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


def read_bytes(path: str) -> bytes:
    """Returns the content of a file. Raises OSError."""
    if is_remote(path):
        with open_gfile(path) as gfile, gfile.GFile(path, "rb") as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()


def make_writable_folder(folder: str, flag: str) -> None:
    """Creates a local folder if missing. Raises OSError, with the flag, if it cannot be written."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise OSError(f"{flag}={folder} cannot be created: {error}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f"{flag}={folder} is not writable")


def write_bytes_atomically(path: str, content: bytes) -> None:
    """Replaces a file: readers see the old or the new content, never a part. Raises OSError."""
    write_atomically(path, [content])


def write_atomically(path: str, parts: Iterable[bytes | memoryview]) -> None:
    """Like `write_bytes_atomically`, with the content in parts. Raises OSError."""
    # Not tempfile: its files are private to the user, and the result would stay so. Its name is
    # short: a name as long as the system allows has no room for a suffix. Random: processes of two
    # containers may have one number.
    name = f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    temporary = os.path.join(os.path.dirname(path), name)
    if is_remote(path):
        with open_gfile(path) as gfile:
            with gfile.GFile(temporary, "wb") as file:
                for part in parts:
                    file.write(bytes(part))
            gfile.rename(temporary, path, overwrite=True)
        return
    try:
        with open(temporary, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), path) from error
        raise


@contextlib.contextmanager
def open_gfile(path: str) -> Iterator[Any]:
    """Yields `tf.io.gfile`; within the block its errors become OSErrors."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from error
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise OSError(f"{path!r}: {getattr(error, 'message', error)}") from error
