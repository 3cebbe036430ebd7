"""Finding files below a folder, a local one through `os`, a remote one through `tf.io.gfile`."""

import dataclasses
import errno
import heapq
import os
from collections.abc import Iterator

from runtime.filesystem import is_remote, open_gfile, require_filesystem

_DANGLING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


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


def find_files(root: str, suffix: str, seen: set[str]) -> Iterator[FoundFile]:
    """Finds the files below a folder whose names end with `suffix` in any case, in any order.

    Folders, FIFOs, dangling links and names that begin with "._" (macOS resource forks) are left
    out. Links are followed.

    Args:
      root: a folder, or one file, which is found whatever its name.
      suffix: such as ".wav".
      seen: real paths of the folders and files found before, which are not found again: a loop of
        links ends, and overlapping roots list each file once. Those found now are added.

    Raises:
      FileNotFoundError: there is no such root.
      MissingDependencyError, DataError: see `require_filesystem`.
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

    folders = [("", root)]  # prefix of names relative to the root, and path
    links: list[tuple[str, str]] = []  # a heap of names relative to the root, and paths
    while folders or links:
        # Links come last, so that a file that is also linked to keeps its own name.
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
    """Returns why the target of a link cannot be read; empty if it can, or if there is none."""
    try:
        os.stat(link)
    except OSError as error:
        if error.errno not in _DANGLING:
            return error.strerror or str(error)
    return ""


def _find_remote(root: str, suffix: str, seen: set[str]) -> Iterator[FoundFile]:
    with open_gfile(root) as gfile:
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
            with open_gfile(folder) as gfile:
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
    """Whether an entry is a folder, from its name where possible: a request is a round trip."""
    if entry.endswith("/"):  # gs:// lists all folders with a slash.
        return True
    if path.startswith("gs://") or _matches(entry, suffix):
        return False
    with open_gfile(path) as gfile:
        return gfile.isdir(path)


def _matches(name: str, suffix: str) -> bool:
    return name.lower().endswith(suffix) and not name.startswith("._")


def _is_new(path: str, seen: set[str]) -> bool:
    """Adds a path to `seen`; returns whether it is new."""
    count = len(seen)
    seen.add(path)
    return len(seen) > count
