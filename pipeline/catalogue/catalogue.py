"""The catalogue: which WAV files there are, and where the samples lie in each of them."""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np

from pipeline.catalogue.column_file import ColumnFileError, downcast
from pipeline.catalogue.scan import HeaderCache, scan_files
from pipeline.catalogue.string_array import StringArray
from pipeline.catalogue.table import FileTable
from pipeline.wav.encoding import Encoding
from pipeline.wav.riff import WAV_SUFFIXES
from runtime.find_files import FoundFile, SeenFiles, find_files
from runtime.progress import Progress, no_progress

_Column = TypeVar("_Column", np.ndarray, StringArray)


class Skipped(NamedTuple):
    """A file or folder that cannot be used, and why."""

    path: str
    reason: str


def _column(name: str, dtype: type) -> functools.cached_property[np.ndarray]:
    return functools.cached_property(
        lambda catalogue: catalogue.take(getattr(catalogue.files, name)).astype(dtype, copy=False)
    )


def _texts(name: str) -> functools.cached_property[StringArray]:
    return functools.cached_property(
        lambda catalogue: catalogue.take(getattr(catalogue.files, name))
    )


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """N files of a corpus, in the order of its folders and then of their names.

    Its columns are made when they are first asked for: a corpus of 10^8 files and both its sides
    share one table. The frames of file i are the `frames[i] * channels[i] * bytes_per_sample` bytes
    from `offsets[i]` on; frames are contiguous and their samples interleaved.

    Attributes:
      files: the table of these files and others.
      rows: integers [N], which rows of the table these are; None: all.
      skipped: files and folders that cannot be used.
      paths: [N], to open, as `os.fsdecode` makes them (`os.fsencode` gives the bytes back).
      names: [N], the paths relative to their folder in `audio_dirs`, with "/" between the parts.
      notes: [N], what is wrong with a file although it is used, such as its truncation; or empty.
      sizes: int64 [N], bytes in the file.
      mtimes_ns: int64 [N], time of the last change in nanoseconds.
      offsets: int64 [N], where the samples begin in the file, in bytes.
      frames: int64 [N].
      channels: int32 [N].
      sample_rates: int32 [N], in Hz.
      encodings: int8 [N], values of `wav.encoding.Encoding`.
    """

    files: FileTable
    rows: np.ndarray | None = None
    skipped: tuple[Skipped, ...] = ()

    paths = _texts("paths")
    names = _texts("names")
    notes = _texts("notes")
    sizes = _column("sizes", np.int64)
    mtimes_ns = _column("mtimes_ns", np.int64)
    offsets = _column("offsets", np.int64)
    frames = _column("frames", np.int64)
    channels = _column("channels", np.int32)
    sample_rates = _column("sample_rates", np.int32)
    encodings = _column("encodings", np.int8)

    @classmethod
    def from_table(cls, files: FileTable) -> Self:
        """Returns the files of a table that can be used; the others become `skipped`."""
        count = files.num_usable
        rows = None if count == len(files) else downcast(np.arange(count))
        skipped = map(Skipped, files.paths[count:], files.notes[count:])
        return cls(files=files, rows=rows, skipped=tuple(skipped))

    def __len__(self) -> int:
        return len(self.files) if self.rows is None else len(self.rows)

    def without_cached_columns(self) -> Self:
        """Returns the same files in an object whose columns, gigabytes maybe, are freed with it."""
        return dataclasses.replace(self)

    def take(self, column: _Column) -> _Column:
        """Returns the rows of these files, [N], of a column of the whole table."""
        return column if self.rows is None else column[self.rows]

    def select(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Returns the files at these indices, in their order; `skipped` stays."""
        rows = np.asarray(indices, np.int64)
        rows = rows if self.rows is None else self.rows[rows]
        return dataclasses.replace(self, rows=downcast(rows))

    def stretches(self, begins: np.ndarray, frames: np.ndarray) -> Self:
        """Returns a stretch of each file, as if it were the file.

        Args:
          begins: integers [N], the first frame of each stretch.
          frames: integers [N], their lengths; files of length 0 must be left out by `select`.
        """
        sample_bytes = np.array([encoding.bytes_per_sample for encoding in Encoding])
        offsets = self.offsets + begins * self.channels * sample_bytes[self.encodings]
        rows = slice(None) if self.rows is None else self.rows

        def changed(column: np.ndarray, values: np.ndarray) -> np.ndarray:
            column = column.astype(np.int64)
            column[rows] = values
            return downcast(column)

        files = dataclasses.replace(
            self.files,
            frames=changed(self.files.frames, frames),
            offsets=changed(self.files.offsets, offsets),
        )
        return dataclasses.replace(self, files=files)


def build_catalogue(
    audio_dirs: Sequence[str],
    *,
    cache_path: str | None = None,
    progress: Progress = no_progress,
    num_threads: int = 16,
) -> Catalogue:
    """Finds the WAV files of some folders and reads their headers.

    Args:
      audio_dirs: folders, searched recursively, or single files; local, or of any file system
        that TensorFlow knows, such as gs://bucket/folder. A file in two of them, or
        with several hard links, is listed once; hidden ones are left out.
      cache_path: where to keep the result, so that next time the headers of unchanged files (same
        size, same time of change) are not read again. Made or replaced if need be.
      progress: shows how many files are scanned.
      num_threads: files scanned at a time; what matters for remote files is latency.

    Raises:
      FileNotFoundError: one of `audio_dirs` does not exist.
      MissingDependencyError, DataError: a file system is not available, see
        `gfile.require_filesystem`.
      OSError: the cache cannot be written.
    """
    cached: FileTable | None = None
    if cache_path:
        # None yet, or none that can be used: all headers are read.
        with contextlib.suppress(OSError, ColumnFileError):
            cached, _ = FileTable.load(cache_path)
    files = find_and_scan(audio_dirs, cached, progress, num_threads)
    if cache_path and not (cached and files.equals(cached)):
        files.save(cache_path, {})
    return Catalogue.from_table(files)


def find_and_scan(
    audio_dirs: Sequence[str],
    cached: FileTable | None = None,
    progress: Progress = no_progress,
    num_threads: int = 16,
) -> FileTable:
    """Returns the table of `build_catalogue`; unchanged files of an earlier one are not read."""
    seen: SeenFiles = set()
    found: list[FoundFile] = []
    for audio_dir in audio_dirs:
        found += sorted(find_files(audio_dir, WAV_SUFFIXES, seen), key=lambda file: file.name)
    del seen
    return scan_files(found, HeaderCache(cached) if cached else None, progress, num_threads)
