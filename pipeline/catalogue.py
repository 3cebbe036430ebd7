"""The catalogue: which WAV files there are, and where the samples lie in each of them."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple, Self

import numpy as np

from pipeline import filesystem, scan_cache, wav
from pipeline.scan_cache import Scanned

_SUFFIX = ".wav"
_FINITE_CHECK_BYTES = 1 << 20
_FILES_PER_TASK = 64  # spreads the cost of handing a task to a thread

Progress = Callable[[Iterable, int], Iterable]
"""Wraps an iterable of known length, as `lambda items, total: tqdm(items, total=total)` does."""


class Skipped(NamedTuple):
    """A file or folder that cannot be used, and why."""

    path: str
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Catalogue:
    """Columns over the N files of a corpus, in the order of its folders and then of their names.

    The frames of file i are the `frames[i] * channels[i] * bytes_per_sample` bytes from
    `offsets[i]` on; frames are contiguous and their samples interleaved.

    Attributes:
      paths: the paths to open, as `os.fsdecode` makes them (`os.fsencode` gives the bytes back).
      names: the paths relative to their folder in `audio_dirs`, with "/" between the parts.
      notes: what is wrong with a file although it is used, e.g. that it is cut off; else empty.
      sizes: int64 [N], bytes in the file.
      mtimes_ns: int64 [N], time of the last change in nanoseconds.
      offsets: int64 [N], where the samples begin in the file, in bytes.
      frames: int64 [N].
      channels: int32 [N].
      rates: int32 [N], frames a second.
      encodings: int8 [N], values of `wav.Encoding`.
      skipped: what was found and cannot be used.
    """

    paths: tuple[str, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]
    sizes: np.ndarray
    mtimes_ns: np.ndarray
    offsets: np.ndarray
    frames: np.ndarray
    channels: np.ndarray
    rates: np.ndarray
    encodings: np.ndarray
    skipped: tuple[Skipped, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, indices: Sequence[int] | np.ndarray) -> Self:
        """The files at these indices, in their order; `skipped` stays."""
        index_array = np.asarray(indices, np.int64)
        changes: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            column = getattr(self, field.name)
            if isinstance(column, np.ndarray):
                changes[field.name] = column[index_array]
            elif field.name != "skipped":
                changes[field.name] = tuple(column[i] for i in index_array.tolist())
        return dataclasses.replace(self, **changes)


def build_catalogue(
    audio_dirs: Sequence[str],
    *,
    cache_path: str | None = None,
    progress: Progress | None = None,
    num_threads: int = 16,
) -> Catalogue:
    """Finds the WAV files of some folders and reads their headers.

    Args:
      audio_dirs: folders, searched recursively, or single files; local, or of any file system
        that TensorFlow knows, such as gs://bucket/folder. A file in two of them is listed once.
      cache_path: where to keep the result, so that next time the headers of unchanged files (same
        size, same time of change) are not read again. Made or replaced if need be.
      progress: shows how far the scan is.
      num_threads: files in work at a time; what matters for remote files is latency.

    Raises:
      FileNotFoundError: one of `audio_dirs` does not exist.
      ImportError, ValueError: a file system is not available, see `filesystem.require_filesystem`.
      OSError: the cache cannot be written.
    """
    seen: set[str] = set()
    found: list[filesystem.FoundFile] = []
    for audio_dir in audio_dirs:
        found += sorted(filesystem.find_files(audio_dir, _SUFFIX, seen), key=lambda file: file.name)
    paths = [file.path for file in found if not file.error]
    known = scan_cache.load(cache_path) if cache_path else {}
    scans = dict(zip(paths, _scan(paths, known, progress, num_threads), strict=True))
    # Errors of reading may pass without a trace in size or time, so they are not kept.
    lasting = {path: scanned for path, scanned in scans.items() if scanned.is_lasting}
    if cache_path and lasting != known:
        scan_cache.save(cache_path, lasting)
    return _assemble(found, scans)


def _assemble(found: Sequence[filesystem.FoundFile], scans: dict[str, Scanned]) -> Catalogue:
    usable = [file for file in found if not file.error and scans[file.path].is_usable]
    skipped = [
        Skipped(file.path, file.error or scans[file.path].remark)
        for file in found
        if file.error or not scans[file.path].is_usable
    ]
    rows = [scans[file.path] for file in usable]

    def column(name: str, dtype: type) -> np.ndarray:
        return np.array([getattr(row, name) for row in rows], dtype)

    return Catalogue(
        paths=tuple(file.path for file in usable),
        names=tuple(file.name for file in usable),
        notes=tuple(row.remark for row in rows),
        sizes=column("size", np.int64),
        mtimes_ns=column("mtime_ns", np.int64),
        offsets=column("offset", np.int64),
        frames=column("frames", np.int64),
        channels=column("channels", np.int32),
        rates=column("rate", np.int32),
        encodings=column("encoding", np.int8),
        skipped=tuple(skipped),
    )


def _scan(
    paths: Sequence[str], known: dict[str, Scanned], progress: Progress | None, num_threads: int
) -> Iterator[Scanned]:
    """Scans files in a pool of threads; yields in the order of `paths`."""
    size = max(1, min(_FILES_PER_TASK, len(paths) // (4 * num_threads)))
    tasks = [paths[start : start + size] for start in range(0, len(paths), size)]
    pool = futures.ThreadPoolExecutor(num_threads)
    try:
        results: Iterable[Scanned] = itertools.chain.from_iterable(
            pool.map(lambda task: [_scan_file(path, known.get(path)) for path in task], tasks)
        )
        yield from progress(results, len(paths)) if progress else results
    finally:
        pool.shutdown(cancel_futures=True)  # on Ctrl-C, do not scan the rest first


def _scan_file(path: str, known: Scanned | None) -> Scanned:
    """What the header says; `known` if the file is as it was then."""
    size = mtime_ns = -1
    try:
        size, mtime_ns = filesystem.stat(path)
        if known and (known.size, known.mtime_ns) == (size, mtime_ns):
            return known
        with filesystem.open_for_reads(path) as read_at:
            header = wav.read_header(read_at, size)
            if header.encoding.is_float:
                _check_finite(read_at, header)
    except wav.WavError as error:
        return Scanned(size=size, mtime_ns=mtime_ns, remark=str(error))
    except OSError as error:
        return Scanned(remark=error.strerror or str(error))
    return Scanned(
        size=size,
        mtime_ns=mtime_ns,
        offset=header.payload_offset,
        frames=header.frames,
        channels=header.channels,
        rate=header.rate,
        encoding=header.encoding,
        remark=header.note,
    )


def _check_finite(read_at: filesystem.ReadAt, header: wav.WavHeader) -> None:
    """Refuses float samples that have no integer near them, in bounded memory.

    Raises:
      wav.WavError: a sample is NaN or infinite.
    """
    sample_bytes = header.encoding.bytes_per_sample
    end = header.payload_offset + header.frames * header.frame_bytes
    for offset in range(header.payload_offset, end, _FINITE_CHECK_BYTES):
        block = read_at(offset, min(_FINITE_CHECK_BYTES, end - offset))
        samples = np.frombuffer(block, f"<f{sample_bytes}", len(block) // sample_bytes)
        finite = np.isfinite(samples)
        if not finite.all():
            first = (offset - header.payload_offset) // sample_bytes + int(finite.argmin())
            raise wav.WavError(
                f"it holds NaN or infinity (first in frame {first // header.channels}); "
                "such samples have no integer value"
            )
