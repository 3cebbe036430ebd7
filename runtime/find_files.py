"""Finding files below a folder, a local one through `os`, a remote one through `tf.io.gfile`."""

import dataclasses
import errno
import heapq
import os
from collections.abc import Iterator

from runtime.gfile import is_remote, open_gfile, require_filesystem

SeenFiles = set[str | tuple[int, int]]
"""Real paths; of a file with several (hard links), its device and inode, too."""

# What systems put beside a user's files: trash, previews, and attributes in archives of macOS.
_SYSTEM_FOLDERS = ("__MACOSX", "$RECYCLE.BIN", "#recycle", "@eaDir")
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


def find_files(root: str, suffixes: tuple[str, ...], seen: SeenFiles) -> Iterator[FoundFile]:
    """Finds the files below a folder whose names have a suffix, in any case, in any order.

    Hidden files and folders (".Trash-1000", "._x.wav"), trash and the like, and FIFOs are left out.
    Links are followed; one that leads nowhere is an error, unless its name is of another kind of
    file.

    Args:
      root: a folder, or one file, which is found whatever its name; either may be hidden.
      suffixes: such as ".wav", in lower case.
      seen: the folders and files found before, which are not found again: a loop of links ends, and
        overlapping roots list each file once. Those found now are added.

    Raises:
      FileNotFoundError: there is no such root.
      MissingDependencyError, DataError: see `require_filesystem`.
    """
    if is_remote(root):
        require_filesystem(root)
        return _find_remote(root.rstrip("/"), suffixes, seen)
    return _find_local(os.path.realpath(os.path.expanduser(root)), suffixes, seen)


def _find_local(root: str, suffixes: tuple[str, ...], seen: SeenFiles) -> Iterator[FoundFile]:
    if os.path.isfile(root):
        if _is_new_file(root, seen):
            yield FoundFile(path=root, name=os.path.basename(root))
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder or file {root!r}")

    folders = [("", root)]  # prefix of names relative to the root, and path
    # A heap of (is a symbolic link, name relative to the root, path).
    links: list[tuple[bool, str, str]] = []
    while folders or links:
        # Links come last, so that a file that is also linked to keeps its own name, and one of many
        # hard links the first of them, in whatever order a folder is listed.
        if not folders:
            _, name, path = heapq.heappop(links)
            if os.path.isdir(path):
                folders.append((f"{name}/", path))
            elif _has_suffix(name, suffixes) and os.path.isfile(path):
                if _is_new_file(path, seen):
                    yield FoundFile(path=path, name=name)
            elif error := _why_unreachable(path, suffixes):
                yield FoundFile(path=path, name=name, error=error)
            continue
        prefix, folder = folders.pop()
        real_folder = os.path.realpath(folder)
        if not _is_new(real_folder, seen):
            continue
        try:
            with os.scandir(folder) as entries:
                for entry in filter(lambda entry: not _is_left_out(entry.name), entries):
                    name = prefix + entry.name
                    if entry.is_symlink():
                        heapq.heappush(links, (True, name, entry.path))
                    elif entry.is_dir():
                        folders.append((f"{name}/", entry.path))
                    elif not _has_suffix(name, suffixes) or not entry.is_file():
                        continue
                    elif _has_hard_links(entry):
                        heapq.heappush(links, (False, name, entry.path))
                    elif _is_new(os.path.join(real_folder, entry.name), seen):
                        yield FoundFile(path=entry.path, name=name)
        except OSError as failure:
            yield FoundFile(path=folder, name=prefix, error=failure.strerror or str(failure))


def _has_hard_links(entry: os.DirEntry) -> bool:
    try:
        return entry.stat(follow_symlinks=False).st_nlink > 1
    except OSError:  # The scan will say why.
        return False


def _is_new_file(path: str, seen: SeenFiles) -> bool:
    """Adds a local file to `seen`, under all its names; returns whether it is new."""
    is_new = _is_new(os.path.realpath(path), seen)
    try:
        status = os.stat(path)
    except OSError:
        return is_new
    # Not for all files: some network file systems give two files one inode number, and one link.
    if status.st_nlink > 1:
        is_new &= _is_new((status.st_dev, status.st_ino), seen)
    return is_new


def _why_unreachable(link: str, suffixes: tuple[str, ...]) -> str:
    """Returns why a link cannot be followed; empty if it can, or if no audio is lost with it."""
    try:
        os.stat(link)
    except OSError as error:
        if error.errno not in _DANGLING:
            return error.strerror or str(error)
        # It may lead to audio that git-annex has not fetched, or to a folder on a disk that is not
        # mounted: whether to a folder, only the name can tell.
        if _has_suffix(link, suffixes) or not os.path.splitext(link)[1]:
            return f"a link that leads nowhere: {error.strerror}"
    return ""


def _find_remote(root: str, suffixes: tuple[str, ...], seen: SeenFiles) -> Iterator[FoundFile]:
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
        for entry in (entry for entry in entries if not _is_left_out(entry.rstrip("/"))):
            name = prefix + entry.rstrip("/")
            path = f"{root}/{name}"
            if _is_remote_folder(path, entry, suffixes):
                folders.append(f"{name}/")
            elif _has_suffix(name, suffixes) and _is_new(path, seen):
                yield FoundFile(path=path, name=name)


def _is_remote_folder(path: str, entry: str, suffixes: tuple[str, ...]) -> bool:
    """Whether an entry is a folder, from its name where possible: a request is a round trip."""
    if entry.endswith("/"):  # gs:// lists all folders with a slash.
        return True
    if path.startswith("gs://") or _has_suffix(entry, suffixes):
        return False
    with open_gfile(path) as gfile:
        return gfile.isdir(path)


def _has_suffix(name: str, suffixes: tuple[str, ...]) -> bool:
    return name.lower().endswith(suffixes)


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name in _SYSTEM_FOLDERS


def _is_new(path: str | tuple[int, int], seen: SeenFiles) -> bool:
    """Adds a path to `seen`; returns whether it is new."""
    count = len(seen)
    seen.add(path)
    return len(seen) > count
