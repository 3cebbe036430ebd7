"""Finding and reading files, local ones through `os` and remote ones through `tf.io.gfile`.

Local paths are strings as `os.fsdecode` makes them, so names that are not UTF-8 survive;
`tf.io.gfile` refuses a whole folder for one such name. TensorFlow is imported for remote paths
only.
"""

import contextlib
import ctypes
import dataclasses
import errno
import heapq
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there; fewer than `size` only at the end of the file."""

_import_lock = threading.Lock()

_LEADS_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class FoundFile:
    """A file below a root, or a folder or link that could not be followed (`error` says why).

    Attributes:
      path: the path to open.
      name: the path relative to the root, with "/" between its parts.
      error: empty for a file.
    """

    path: str
    name: str
    error: str = ""


def is_remote(path: str) -> bool:
    """Whether the path has a scheme, like gs://bucket/folder."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", path) is not None


def absolute(path: str) -> str:
    """Returns a path that means the same wherever it is used."""
    return path if is_remote(path) else os.path.abspath(os.path.expanduser(path))


def require_filesystem(path: str) -> None:
    """Makes the file system of a path available to TensorFlow; gs:// and local paths just are.

    Raises:
      ImportError: the scheme needs tensorflow-io, which is missing or does not fit this TensorFlow.
      ValueError: nothing knows the scheme.
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
                warnings.simplefilter("ignore")  # about what the second error below says in full
                import tensorflow_io as tfio
        except ImportError as error:
            raise ImportError(
                f"{path!r}: {scheme}:// paths need tensorflow-io: pip install 'wavestream[io]'"
            ) from error
        _survive_exit()
        # Under a TensorFlow that it was not built for it imports, but registers no file systems.
        schemes = tf.io.gfile.get_registered_schemes()
        if "s3" not in schemes:
            raise ImportError(
                f"{path!r}: tensorflow-io {tfio.__version__} cannot load its file systems under "
                f"TensorFlow {tf.__version__}; install versions that fit each other, in a new "
                "environment: pip install 'wavestream[io]'"
            )
        if scheme not in schemes:
            known = ", ".join(f"{known}://" for known in sorted(filter(None, schemes)))
            raise ValueError(f"{path!r}: unknown scheme {scheme}://, expected one of {known}")


def _survive_exit() -> None:
    """Keeps the exit status of a process that has used tensorflow-io's s3://.

    Its AWS library's destructors call into a dead object and abort (tensorflow-io issue 2039), so
    on Linux the process ends after Python's own clean-up, before them.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.on_exit(libc._exit, None)


def stat(path: str) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds.

    Raises:
      OSError: there is no such file, or it cannot be reached.
    """
    if is_remote(path):
        with _gfile(path) as gfile:
            remote_status = gfile.stat(path)
            return remote_status.length, remote_status.mtime_nsec
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def is_there(path: str) -> bool:
    """Whether there is a file, as far as can be seen."""
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
        with _gfile(path) as gfile, gfile.GFile(path, "rb") as file:

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
    # Nonblocking, so that a FIFO that has taken the file's place holds nothing up.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def read_bytes(path: str) -> bytes:
    """The content of a file. Raises OSError."""
    if is_remote(path):
        with _gfile(path) as gfile, gfile.GFile(path, "rb") as file:
            return file.read()
    with open(path, "rb") as file:
        return file.read()


def write_bytes_atomically(path: str, content: bytes) -> None:
    """Replaces a file; its readers see the old content or the new, never a part. Raises OSError."""
    write_atomically(path, [content])


def write_atomically(path: str, parts: Iterable[bytes | memoryview]) -> None:
    """Replaces a file likewise, by a content that is given part after part. Raises OSError."""
    # Not tempfile: its files are private to the user, and the result would stay so.
    temporary = f"{path}.{os.getpid()}.tmp"
    if is_remote(path):
        with _gfile(path) as gfile:
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


def find_files(root: str, suffix: str, seen: set[str]) -> Iterator[FoundFile]:
    """Finds the files below a folder whose names end with `suffix` in any case, in any order.

    Folders, FIFOs, dangling links and names that begin with "._" (macOS resource forks) do not
    count. Links are followed.

    Args:
      root: a folder, or one file, which is found whatever its name.
      suffix: such as ".wav".
      seen: the real paths of the folders and files found before; what is in there is not found
        again, so that a loop of links ends and overlapping roots list each file once. Grows.

    Raises:
      FileNotFoundError: there is no such root.
      ImportError, ValueError: see `require_filesystem`.
    """
    if is_remote(root):
        require_filesystem(root)
        return _find_remote(root.rstrip("/"), suffix, seen)
    return _find_local(os.path.realpath(os.path.expanduser(root)), suffix, seen)


def _find_local(root: str, suffix: str, seen: set[str]) -> Iterator[FoundFile]:
    if os.path.isfile(root):
        if _is_new(root, seen):
            yield FoundFile(path=root, name=os.path.basename(root))
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder or file {root!r}")

    folders = [("", root)]  # what precedes its names relative to the root, and its path
    links: list[tuple[str, str]] = []  # a heap of names relative to the root, and paths
    while folders or links:
        # Links come last, so that a file that is also linked to goes by its own name.
        if not folders:
            name, path = heapq.heappop(links)
            if os.path.isdir(path):
                folders.append((f"{name}/", path))
            elif _matches(os.path.basename(name), suffix) and os.path.isfile(path):
                if _is_new(os.path.realpath(path), seen):
                    yield FoundFile(path=path, name=name)
            elif error := _why_unreachable(path):
                yield FoundFile(path=path, name=name, error=error)
            continue
        prefix, folder = folders.pop()
        real_folder = os.path.realpath(folder)
        if not _is_new(real_folder, seen):
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = prefix + entry.name
                    if entry.is_symlink():
                        heapq.heappush(links, (name, entry.path))
                    elif entry.is_dir():
                        folders.append((f"{name}/", entry.path))
                    elif (
                        _matches(entry.name, suffix)
                        and entry.is_file()
                        and _is_new(os.path.join(real_folder, entry.name), seen)
                    ):
                        yield FoundFile(path=entry.path, name=name)
        except OSError as failure:
            yield FoundFile(path=folder, name=prefix, error=failure.strerror or str(failure))


def _why_unreachable(link: str) -> str:
    """Why what a link leads to cannot be looked at; empty if it can, or if there is nothing."""
    try:
        os.stat(link)
    except OSError as error:
        if error.errno not in _LEADS_NOWHERE:
            return error.strerror or str(error)
    return ""


def _find_remote(root: str, suffix: str, seen: set[str]) -> Iterator[FoundFile]:
    with _gfile(root) as gfile:
        if not gfile.exists(root):
            raise FileNotFoundError(f"there is no folder or file {root!r}")
        if not gfile.isdir(root):
            if _is_new(root, seen):
                yield FoundFile(path=root, name=root.rsplit("/", 1)[-1])
            return
    folders = [""]
    while folders:
        prefix = folders.pop()
        folder = f"{root}/{prefix}"
        try:
            with _gfile(folder) as gfile:
                entries = gfile.listdir(folder)
        except OSError as error:
            yield FoundFile(path=folder, name=prefix, error=str(error))
            continue
        for entry in entries:
            name = prefix + entry.rstrip("/")
            path = f"{root}/{name}"
            if _is_remote_folder(path, entry, suffix):
                folders.append(f"{name}/")
            elif _matches(entry, suffix) and _is_new(path, seen):
                yield FoundFile(path=path, name=name)


def _is_remote_folder(path: str, entry: str, suffix: str) -> bool:
    """Asks the store only where the name leaves it open: each question is a round trip."""
    if entry.endswith("/"):  # gs:// lists all its folders so
        return True
    if path.startswith("gs://") or _matches(entry, suffix):
        return False
    with _gfile(path) as gfile:
        return gfile.isdir(path)


def _matches(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix) and not name.startswith("._")


def _is_new(path: str, seen: set[str]) -> bool:
    """Whether the path was not seen before; from now on it was."""
    count = len(seen)
    seen.add(path)
    return len(seen) > count


@contextlib.contextmanager
def _gfile(path: str) -> Iterator[Any]:
    """`tf.io.gfile`, its errors turned into OSErrors."""
    import tensorflow as tf

    try:
        yield tf.io.gfile
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(error.message) from error
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise OSError(f"{path!r}: {getattr(error, 'message', error)}") from error
