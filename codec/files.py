"""Files: compressed, decompressed and verified, each whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Sequence
from typing import NamedTuple

from codec.damage import Findings, open_damaged
from codec.decoder import Opened, decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.header import Format, read_header
from codec.jobs import Job
from codec.model import CodecModel
from codec.present import describe_obstacle
from codec.progress import Progress, no_progress
from codec.recover import recover_parts
from codec.seek import slice_bounds, slice_parts
from codec.verification import DifferentError, verify
from runtime.atomic_files import write_atomically
from runtime.errors import ConfigError, DataError


class Outcome(NamedTuple):
    """What has become of a file.

    Attributes:
      before: its bytes.
      after: bytes of the result.
      path: of the result; empty if none is written.
      fingerprint: of the model that codes it; empty if none does.
      problem: why no model has coded it, or all of it; else empty.
      warning: what is wrong with the source, which is kept as it is; else empty.
    """

    before: int
    after: int
    path: str = ""
    fingerprint: bytes = b""
    problem: str = ""
    warning: str = ""


def compress_file(
    job: Job,
    models: Sequence[CodecModel],
    *,
    segment: int | None = None,
    num_threads: int = 1,
    force: bool = False,
    delete_source: bool = False,
    progress: Progress = no_progress,
) -> Outcome:
    """Compresses a file.

    Args:
      job: the file.
      models: to choose from; one of them is used for all of the file.
      segment: frames of a segment; None: what suits the model.
      num_threads: segments at once.
      force: overwrite a file that is there.
      delete_source: remove the source, once the result has been read back and is the same.
      progress: is told what has been coded.

    Raises:
      FileExistsError: the result is there.
      DataError: the result, read back, is not the source.
      OSError: a file cannot be read or written.
    """
    _check_target(job, force, compress=True)
    status = os.stat(job.source)
    problems: list[str] = []
    warnings: list[str] = []
    with open(job.source, "rb") as source:
        parts = compress_parts(
            source,
            status.st_size,
            models,
            segment=segment,
            num_threads=num_threads,
            progress=progress,
            report=problems.append,
            warn=warnings.append,
        )
        write_atomically(job.target, parts)
    shutil.copystat(job.source, job.target)
    if delete_source:
        with open(job.target, "rb") as result, open(job.source, "rb") as source:
            try:
                verify(result, models, original=source, num_threads=num_threads)
            except DifferentError as error:
                text = f"{job.target}, read back, is not {job.source}, which is kept"
                raise DataError(text) from error
        _sync_folder(job.target)  # Else the source's end might reach the disk before the result.
        os.unlink(job.source)
    with open(job.target, "rb") as result:
        format_ = read_header(result)
        after = result.seek(0, os.SEEK_END)
    fingerprint = b"" if format_ is None else format_.fingerprint
    texts = "".join(problems), "".join(warnings)
    return Outcome(status.st_size, after, job.target, fingerprint, *texts)


def decompress_file(
    job: Job,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    num_threads: int = 1,
    force: bool = False,
    recover: Findings | None = None,
    progress: Progress = no_progress,
) -> Outcome:
    """Decompresses a file.

    Args:
      job: the file.
      models: in which that of the file is looked for first.
      folders: where other models are looked for.
      num_threads: segments at once.
      force: overwrite a file that is there.
      recover: write what is intact, and add to it what is not; None: write all or nothing.
      progress: is told what has been decoded.

    Raises:
      FileExistsError: the result is there.
      DataError: the file is damaged, or its model was not found.
      OSError: a file cannot be read or written.
    """
    _check_target(job, force, compress=False)
    with open(job.source, "rb") as file:
        if recover is None:
            opened = open_compressed(file, models, folders)
            parts = decompress_parts(opened, num_threads=num_threads, progress=progress)
        else:
            opened = open_damaged(file, models, folders, recover)
            parts = recover_parts(opened, recover, num_threads=num_threads)
        write_atomically(job.target, parts)
    shutil.copystat(job.source, job.target)
    outcome = _decoded(opened, job.source, os.stat(job.target).st_size, job.target)
    return outcome._replace(warning="; ".join(recover.lines() if recover else []))


def part_of(job: Job, format_: Format | None, start: float, duration: float | None) -> Job:
    """Returns the job of a part, whose name has its begin and end: song_90s-120s.wav.

    Args:
      job: the whole file.
      format_: of its samples.
      start: of the part, in seconds.
      duration: of the part, in seconds; None: to the end.

    Raises:
      ConfigError: there is nothing at this time.
    """
    if format_ is None:
        raise ConfigError("it is no WAV that could be read: there are no frames in it")
    times = [f / format_.sample_rate for f in slice_bounds(format_, start, duration)]
    stem, suffix = os.path.splitext(job.target)
    return job._replace(target=f"{stem}_{times[0]:.10g}s-{times[1]:.10g}s{suffix}")


def slice_file(
    job: Job,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    start: float,
    duration: float | None,
    num_threads: int = 1,
    force: bool = False,
) -> Outcome:
    """Decompresses a part of a file to a WAV.

    Args:
      job: the file; its target is changed, see `part_of`.
      models: in which that of the file is looked for first.
      folders: where other models are looked for.
      start: of the part, in seconds.
      duration: of the part, in seconds; None: to the end.
      num_threads: segments at once.
      force: overwrite a file that is there.

    Raises:
      As `decompress_file` and `part_of`.
    """
    with open(job.source, "rb") as file:
        opened = open_compressed(file, models, folders)
        part = part_of(job, opened.format, start, duration)
        _check_target(part, force)
        write_atomically(part.target, slice_parts(opened, start, duration, num_threads=num_threads))
    return _decoded(opened, job.source, os.stat(part.target).st_size, part.target)


def verify_file(
    path: str,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    original: str | None = None,
    num_threads: int = 1,
    progress: Progress = no_progress,
) -> Outcome:
    """Decompresses a file to nowhere, and compares it with its original, if that is given.

    Raises:
      As `verify`; DifferentError: the original cannot be read, either.
    """
    with open(path, "rb") as file, contextlib.ExitStack() as stack:
        expected, problem = None, ""
        if original is not None:
            try:
                expected = stack.enter_context(open(original, "rb"))
            except OSError as error:  # Whether the file is damaged is told before.
                problem = f"{original}: {error.strerror}"
        opened, size = verify(
            file, models, folders, original=expected, num_threads=num_threads, progress=progress
        )
    if problem:
        raise DifferentError(f"intact, but its original cannot be read: {problem}")
    return _decoded(opened, path, size)


def _decoded(opened: Opened, source: str, after: int, path: str = "") -> Outcome:
    fingerprint = b"" if opened.format is None else opened.format.fingerprint
    return Outcome(os.stat(source).st_size, after, path, fingerprint)


def _check_target(job: Job, force: bool, *, compress: bool | None = None) -> None:
    """Makes the folder of a result. Raises FileExistsError where one is there and may not be."""
    if problem := describe_obstacle(job, force=force, compress=compress):
        raise FileExistsError(problem)
    os.makedirs(os.path.dirname(job.target) or ".", exist_ok=True)


def _sync_folder(path: str) -> None:
    """Returns when the name of a file is on the disk, and not only its content."""
    folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
