"""Reads byte ranges of files into one buffer.

The only Python in the graph: one call fetches half a second to a minute of work, a few microseconds
of it under the interpreter's lock. TensorFlow has no op for it. `FixedLengthRecordDataset`, which
has the arguments, reads and throws away all that comes before the range (70 ms a read at the end of
1 GB, against 0.04 ms here; over a network, the whole download), and `read_file` reads all of it.
"""

import os
from collections.abc import Callable

import numpy as np

from runtime import filesystem

OnUnreadable = Callable[[str, str], None]
"""(path, reason): called from a thread of the graph for a file that cannot be read any more."""


def read_ranges(
    paths: np.ndarray,  # bytes [P]
    begins: np.ndarray,  # int64 [P]
    lengths: np.ndarray,  # int64 [P]
    rooms: np.ndarray,  # int64 [P], at least the length
    sizes: np.ndarray,  # int64 [P]
    mtimes_ns: np.ndarray,  # int64 [P]
    fill: np.ndarray,  # uint8 []
    on_unreadable: OnUnreadable,
) -> tuple[np.ndarray, np.ndarray]:  # uint8 [sum of rooms], bool [P]
    """Reads `lengths` bytes from `begins` of each file, each to the start of its own room.

    Returns:
      The buffer, `fill` where nothing was read to; and which of the ranges could be read. A file
      whose size or modification time is not the catalogued one counts as unreadable.
    """
    buffer = np.zeros(int(rooms.sum()), np.uint8)
    if fill:
        buffer[:] = fill
    readable = np.zeros(len(paths), bool)
    ends = np.cumsum(rooms)
    for i, path in enumerate(map(os.fsdecode, paths)):
        start = ends[i] - rooms[i]
        target = buffer[start : start + lengths[i]]
        try:
            if filesystem.is_remote(path):
                _read_remote(path, int(begins[i]), target)
            else:
                _read_local(path, int(begins[i]), target, sizes[i], mtimes_ns[i])
            readable[i] = True
        except Exception as error:  # Each remote file system has errors of its own.
            target[:] = fill
            on_unreadable(path, getattr(error, "strerror", None) or str(error))
    return buffer, readable


def _read_local(path: str, begin: int, target: np.ndarray, size: int, mtime_ns: int) -> None:
    descriptor = filesystem.open_descriptor(path)
    try:
        _check_unchanged(descriptor, size, mtime_ns)
        view = memoryview(target.data)
        while view:  # A signal, or more than 2 GiB, makes a read shorter.
            count = os.preadv(descriptor, [view], begin)
            if not count:
                raise OSError("it was cut off while it was read")
            view, begin = view[count:], begin + count
        _check_unchanged(descriptor, size, mtime_ns)  # It may have been written to meanwhile.
    finally:
        os.close(descriptor)


def _check_unchanged(descriptor: int, size: int, mtime_ns: int) -> None:
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise OSError("it has changed since it was catalogued")


def _read_remote(path: str, begin: int, target: np.ndarray) -> None:
    with filesystem.open_for_reads(path) as read_at:
        content = read_at(begin, len(target))
    if len(content) != len(target):
        raise OSError(f"it ends after {begin + len(content)} bytes, expected more")
    target[:] = np.frombuffer(content, np.uint8)
