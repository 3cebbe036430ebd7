"""Reads the headers of files, the slow part of a catalogue: many files, or remote ones."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from pipeline.catalogue.column_file import downcast
from pipeline.catalogue.string_array import join
from pipeline.catalogue.table import FileTable
from pipeline.wav.float_check import check_floats
from pipeline.wav.header import read_header
from pipeline.wav.riff import WavError
from runtime import filesystem
from runtime.find_files import FoundFile
from runtime.progress import Progress, no_progress

_FILES_PER_TASK = 64  # amortizes the cost of handing a task to a thread


class _ScannedFile(NamedTuple):
    """A row of `table.FileTable`: what a scan finds out about one file."""

    size: int = -1
    mtime_ns: int = -1
    offset: int = 0
    frames: int = 0
    channels: int = 0
    sample_rate: int = 0
    encoding: int = -1
    note: str = ""


# The columns of `table.FileTable` that hold its numbers, in the order of its fields.
_COLUMNS = ("sizes", "mtimes_ns", "offsets", "frames", "channels", "sample_rates", "encodings")
_NUMBERS_DTYPE = np.dtype([(name, np.int64) for name in _COLUMNS])


class HeaderCache:
    """The results of an earlier scan, by path."""

    def __init__(self, files: FileTable) -> None:
        self._files = files
        self._rows = {path: row for row, path in enumerate(files.paths)}

    def lookup(self, path: str, size: int, mtime_ns: int) -> _ScannedFile | None:
        """Returns the earlier result; None for a file that is new, or of another size or time."""
        files, row = self._files, self._rows.get(path)
        if row is None or (files.sizes[row], files.mtimes_ns[row]) != (size, mtime_ns):
            return None
        numbers = (int(getattr(files, name)[row]) for name in _COLUMNS)
        return _ScannedFile._make([*numbers, files.notes[row]])


def scan_files(
    found: Sequence[FoundFile],
    cache: HeaderCache | None = None,
    progress: Progress = no_progress,
    num_threads: int = 16,
) -> FileTable:
    """Reads the headers of files.

    Args:
      found: the files, and folders that could not be listed.
      cache: files in it that are unchanged (same size and modification time) are not read.
      progress: shows how many files are done.
      num_threads: files scanned in parallel.

    Returns:
      The usable files, then the others, each in the order of `found`.
    """
    notes: dict[int, str] = {}

    # Row by row into a NumPy array: 10^8 Python tuples take tens of GB.
    def numbers() -> Iterator[tuple]:
        for row, scanned in enumerate(_scan(found, cache, progress, num_threads)):
            if scanned.note:
                notes[row] = scanned.note
            yield scanned[:-1]

    table = np.fromiter(numbers(), _NUMBERS_DTYPE, len(found))
    order = np.argsort(table["encodings"] < 0, kind="stable")
    table = table[order]
    rows = order.tolist()
    path_blob, path_bounds = join(found[row].path for row in rows)
    note_blob, note_bounds = join(notes.get(row, "") for row in rows)
    # A name is the end of its path, so the blob of paths holds both.
    starts = (len(os.fsencode(found[row].path)) - len(os.fsencode(found[row].name)) for row in rows)
    columns: dict[str, Any] = {name: downcast(table[name]) for name in _COLUMNS}
    return FileTable(
        path_blob=path_blob,
        path_bounds=path_bounds,
        name_starts=downcast(np.fromiter(starts, np.int64, len(found))),
        note_blob=note_blob,
        note_bounds=note_bounds,
        **columns,
    )


def _scan(
    found: Sequence[FoundFile],
    cache: HeaderCache | None,
    progress: Progress,
    num_threads: int,
) -> Iterator[_ScannedFile]:
    """Scans files in a pool of threads; yields the results in their order."""
    size = max(1, min(_FILES_PER_TASK, len(found) // (4 * num_threads)))
    tasks = (found[start : start + size] for start in range(0, len(found), size))
    pool = ThreadPoolExecutor(num_threads)
    try:
        results: Iterable[_ScannedFile] = itertools.chain.from_iterable(
            pool.map(lambda task: [_scan_file(file, cache) for file in task], tasks)
        )
        yield from progress(results, len(found))
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C, drop the queued files


def _scan_file(file: FoundFile, cache: HeaderCache | None) -> _ScannedFile:
    """Returns the cached result of an unchanged file, else reads its header."""
    if file.error:
        return _ScannedFile(note=file.error)
    size = mtime_ns = -1
    try:
        size, mtime_ns = filesystem.stat(file.path)
        if cache and (cached := cache.lookup(file.path, size, mtime_ns)):
            return cached
        with filesystem.open_for_reads(file.path) as read_at:
            header = read_header(read_at, size)
            notes = [header.note] if header.note else []
            if header.encoding.is_float:
                notes += check_floats(read_at, header)
    except WavError as error:
        return _ScannedFile(size=size, mtime_ns=mtime_ns, note=str(error))
    except OSError as error:
        # It may be transient and leave size and time unchanged: not stored, so that the next scan
        # reads the file again.
        return _ScannedFile(note=error.strerror or str(error))
    return _ScannedFile(
        size=size,
        mtime_ns=mtime_ns,
        offset=header.payload_offset,
        frames=header.frames,
        channels=header.channels,
        sample_rate=header.sample_rate,
        encoding=header.encoding,
        note="; ".join(notes),
    )
