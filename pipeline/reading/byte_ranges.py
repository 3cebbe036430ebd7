"""Reads byte ranges of files into one buffer.

Python in the graph, as the plan is: one call fetches half a second to a minute of audio and holds
the GIL for a few microseconds. TensorFlow has no op for it: `FixedLengthRecordDataset` has the
arguments, but reads and discards all bytes before the range (70 ms per read at the end of 1 GB,
against 0.04 ms here; over a network, a download of them), and `read_file` reads the whole file.
"""

import os
from collections.abc import Callable

import numpy as np

from runtime import filesystem
from runtime.outage import outage_of_bucket

OnUnreadable = Callable[[str, str], None]
"""(path, reason): called from a thread of the graph for a file that can no longer be read."""


def read_ranges(
    paths: np.ndarray,  # bytes [P]
    begins: np.ndarray,  # int64 [P]
    lengths: np.ndarray,  # int64 [P]
    slot_bytes: np.ndarray,  # int64 [P], at least the length
    sizes: np.ndarray,  # int64 [P]
    mtimes_ns: np.ndarray,  # int64 [P]
    on_unreadable: OnUnreadable,
) -> tuple[np.ndarray, np.ndarray]:  # uint8 [sum of slot_bytes], bool [P]
    """Reads a range of bytes of each file into the start of its own slot of one buffer.

    Args:
      paths: the files, as `os.fsencode` encodes them.
      begins: offset of each range in its file, in bytes.
      lengths: of each range, in bytes.
      slot_bytes: size of each slot in the buffer.
      sizes: size of each file when it was catalogued, in bytes.
      mtimes_ns: modification time of each file likewise, in nanoseconds.
      on_unreadable: called for each range that cannot be read.

    Returns:
      The buffer, zero where nothing is read, and which of the ranges could be read. A local file
      whose size or modification time has changed counts as unreadable; for remote files it would
      cost a request per read. A bucket that is down is waited for.
    """
    buffer = np.zeros(int(slot_bytes.sum()), np.uint8)  # Untouched pages cost nothing.
    readable = np.zeros(len(paths), bool)
    ends = np.cumsum(slot_bytes)
    for i, path in enumerate(map(os.fsdecode, paths)):
        start = ends[i] - slot_bytes[i]
        target = buffer[start : start + lengths[i]]
        try:
            if filesystem.is_remote(path):
                _read_remote(path, int(begins[i]), target)
            else:
                _read_local(path, int(begins[i]), target, sizes[i], mtimes_ns[i])
            readable[i] = True
        except Exception as error:  # Every remote file system raises errors of its own.
            target[:] = 0
            on_unreadable(path, getattr(error, "strerror", None) or str(error))
    return buffer, readable


def _read_local(path: str, begin: int, target: np.ndarray, size: int, mtime_ns: int) -> None:
    descriptor = filesystem.open_descriptor(path)
    try:
        view, count = memoryview(target.data), -1
        try:
            while view and count:  # A signal, or more than 2 GiB, cuts a read short.
                count = os.preadv(descriptor, [view], begin)
                view, begin = view[count:], begin + count
        finally:  # Behind, as it may be modified meanwhile; a folder or a FIFO cannot be read.
            _check_unchanged(descriptor, size, mtime_ns)
        if view:
            raise OSError("it ends before its size")
    finally:
        os.close(descriptor)


def _check_unchanged(descriptor: int, size: int, mtime_ns: int) -> None:
    status = os.fstat(descriptor)
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise OSError("it has changed since it was catalogued")


def _read_remote(path: str, begin: int, target: np.ndarray) -> None:
    def read() -> bytes:
        with filesystem.open_for_reads(path) as read_at:
            return read_at(begin, len(target))

    # A bucket that is down for a while says nothing of the file, and must not change the samples.
    content = outage_of_bucket(path).retry(
        read, until=lambda error: not isinstance(error, ConnectionError)
    )
    if len(content) != len(target):
        raise OSError(f"it ends after {begin + len(content)} bytes, expected more")
    target[:] = np.frombuffer(content, np.uint8)
