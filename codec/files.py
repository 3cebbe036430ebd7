"""Files and folders: what is compressed to where, and what is decompressed."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.header import HASH_BYTES
from codec.model import CodecModel
from codec.progress import Progress, no_progress
from codec.recover import Report, open_damaged, recover_parts
from codec.seek import slice_bounds, slice_parts
from pipeline.wav.riff import WAV_SUFFIXES
from runtime.errors import ConfigError, DataError
from runtime.filesystem import write_atomically

SUFFIX = ".wvst"


class Job(NamedTuple):
    """A file, and what becomes of it.

    Attributes:
      source: its path.
      target: path of the result.
    """

    source: str
    target: str


def find_jobs(paths: Sequence[str], output_dir: str | None, *, compress: bool) -> list[Job]:
    """Returns what to do with files, and with those below folders, in the order of their names.

    Args:
      paths: of files of any kind, and of folders: of these the WAVs, or the compressed files.
      output_dir: keeps the folders' trees; None: each result goes beside its source.
      compress: whether SUFFIX is added to the names, or taken away.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: a folder cannot be listed.
      ConfigError: there is nothing to do, or two results have one name.
    """
    suffixes = WAV_SUFFIXES if compress else (SUFFIX,)
    # By their paths: of a file that is named twice there is one result.
    found = {
        os.path.abspath(path): name
        for root in paths
        for path, name in _files_of(os.path.expanduser(root), suffixes)
    }
    if not found:
        raise ConfigError(
            f"{', '.join(paths) or 'no argument'}: there is no file to "
            f"{'compress: expected files, or folders of WAVs' if compress else 'decompress'}"
        )
    jobs = []
    for path, name in sorted(found.items()):
        place = path if output_dir is None else os.path.join(output_dir, name)
        if not compress and not place.endswith(SUFFIX):
            raise ConfigError(f"{path}: expected a name that ends with {SUFFIX}")
        jobs.append(Job(path, place + SUFFIX if compress else place.removesuffix(SUFFIX)))
    targets = {job.target: job.source for job in jobs}
    for job in jobs:
        if targets[job.target] != job.source:
            raise ConfigError(
                f"{targets[job.target]} and {job.source} would both become {job.target}: give "
                "each an --output_dir of its own"
            )
    return jobs


def _files_of(root: str, suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yields the path of a file, or of those below a folder, and their names below it.

    Unlike a corpus (`runtime.find_files`), an archive has hidden files, and each of several hard
    links. Links to folders are not followed: they may lead anywhere.
    """
    if os.path.isfile(root):
        yield root, os.path.basename(root)
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder or file {root!r}")

    def stop(error: OSError) -> None:
        raise error

    for folder, _, names in os.walk(root, onerror=stop):
        for name in names:
            path = os.path.join(folder, name)
            if name.lower().endswith(suffixes) and os.path.isfile(path):
                yield path, os.path.relpath(path, root)


def compress_file(
    job: Job,
    models: Sequence[CodecModel],
    *,
    segment: int | None = None,
    num_threads: int = 1,
    force: bool = False,
    delete_source: bool = False,
    progress: Progress = no_progress,
) -> tuple[int, int]:
    """Compresses a file; returns the bytes of source and result.

    Args:
      job: the file.
      models: those at hand.
      segment: frames of a segment; None: what suits the model.
      num_threads: segments at once.
      force: overwrite a file that is there.
      delete_source: remove the source, once the result has been read back and is the same.
      progress: is told what has been coded.

    Raises:
      DataError: the result is there, or, read back, is not the source.
      OSError: a file cannot be read or written.
    """
    _check_target(job, force)
    status = os.stat(job.source)
    with open(job.source, "rb") as source:
        parts = compress_parts(
            source,
            status.st_size,
            models,
            segment=segment,
            num_threads=num_threads,
            progress=progress,
        )
        write_atomically(job.target, parts)
    shutil.copystat(job.source, job.target)
    if delete_source:
        with open(job.source, "rb") as source:
            stated = hashlib.file_digest(source, _new_digest).digest()
        if _decompressed_digest(job.target, models, num_threads) != stated:
            raise DataError(f"{job.target}, read back, is not {job.source}, which is kept")
        _sync_folder(job.target)  # Else the source's end might reach the disk before the result.
        os.unlink(job.source)
    return status.st_size, os.stat(job.target).st_size


def decompress_file(
    job: Job,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    num_threads: int = 1,
    force: bool = False,
    recover: Report | None = None,
    progress: Progress = no_progress,
) -> tuple[int, int]:
    """Decompresses a file; returns the bytes of source and result.

    Args:
      job: the file.
      models: those at hand.
      folders: where other models are looked for.
      num_threads: segments at once.
      force: overwrite a file that is there.
      recover: write what is intact, and tell it what is not; None: write all or nothing.
      progress: is told what has been decoded.

    Raises:
      DataError: the file is damaged, its model is not at hand, or the result is there.
      OSError: a file cannot be read or written.
    """
    _check_target(job, force)
    with open(job.source, "rb") as file:
        if recover is None:
            opened = open_compressed(file, models, folders)
            parts = decompress_parts(opened, num_threads=num_threads, progress=progress)
        else:
            opened = open_damaged(file, models, folders, recover)
            parts = recover_parts(opened, recover, num_threads=num_threads)
        write_atomically(job.target, parts)
    shutil.copystat(job.source, job.target)
    return os.stat(job.source).st_size, os.stat(job.target).st_size


def slice_file(
    job: Job,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    start: float,
    duration: float | None,
    num_threads: int = 1,
    force: bool = False,
) -> tuple[int, int]:
    """Decompresses a part of a file to a WAV; returns the bytes of the file and of the part.

    The part's name has its begin and end: song.wav.wvst becomes song_90s-120s.wav.

    Args:
      job: the file; its target is changed.
      models: those at hand.
      folders: where other models are looked for.
      start: of the part, in seconds.
      duration: of the part, in seconds; None: to the end.
      num_threads: segments at once.
      force: overwrite a file that is there.

    Raises:
      As `decompress_file`; ConfigError: there is nothing at this time.
    """
    with open(job.source, "rb") as file:
        opened = open_compressed(file, models, folders)
        if opened.format is None:
            raise DataError("there are no frames in it: it was not read as a WAV")
        rate = opened.format.sample_rate
        times = [f / rate for f in slice_bounds(opened.format, start, duration)]
        stem, suffix = os.path.splitext(job.target)
        part = job._replace(target=f"{stem}_{times[0]:.10g}s-{times[1]:.10g}s{suffix}")
        _check_target(part, force)
        write_atomically(part.target, slice_parts(opened, start, duration, num_threads=num_threads))
    return os.stat(job.source).st_size, os.stat(part.target).st_size


def verify_file(
    path: str,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    num_threads: int = 1,
    progress: Progress = no_progress,
) -> tuple[int, int]:
    """Decompresses a file to nowhere; returns the bytes of it and of its source.

    Raises:
      DataError: it is damaged, or its model is not at hand.
      OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        opened = open_compressed(file, models, folders)
        parts = decompress_parts(opened, num_threads=num_threads, progress=progress)
        size = sum(map(len, parts))
    return os.stat(path).st_size, size


def _check_target(job: Job, force: bool) -> None:
    if os.path.lexists(job.target) and not force:
        raise DataError(f"{job.target} is there already: --force overwrites it")
    os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)


def _sync_folder(path: str) -> None:
    """Returns when the name of a file is on the disk, and not only its content."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _new_digest() -> Any:
    return hashlib.blake2b(digest_size=HASH_BYTES)


def _decompressed_digest(path: str, models: Sequence[CodecModel], num_threads: int) -> bytes:
    digest = _new_digest()
    with open(path, "rb") as file:
        for part in decompress_parts(open_compressed(file, models), num_threads=num_threads):
            digest.update(part)
    return digest.digest()
