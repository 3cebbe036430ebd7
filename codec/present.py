"""Results that are there already, so that an interrupted command goes on."""

import os
import stat
from collections.abc import Sequence
from typing import BinaryIO

from codec.file_info import Info, read_info
from codec.jobs import Job
from codec.left_out import LeftOut
from runtime.errors import DataError

_PRESENT = "there already; --force overwrites"
_OF_ANOTHER_MODEL = "there already, by another model; --force overwrites"


def drop_present(
    jobs: Sequence[Job], named: Sequence[str], left_out: LeftOut, *, compress: bool
) -> list[Job]:
    """Returns the jobs whose result is not there yet.

    A result is whole if it has its source's time, and the compressed one of the two ends as it
    should and states the other's size: nothing is decoded.

    Args:
      jobs: the files.
      named: the arguments: a file that alone is named is never left out.
      left_out: what is left out is counted there.
      compress: whether the results are compressed files, or the sources are.
    """
    is_one_file = len(named) == 1 and os.path.isfile(os.path.expanduser(named[0]))
    kept = []
    for job in jobs:
        if is_one_file or not _has_time(job) or describe_present(job, compress=compress):
            kept.append(job)
            continue
        left_out.counts[_PRESENT] += 1
        if compress:
            with open(job.target, "rb") as file:
                header = _read_whole_info(file).header
                left_out.models.append(header.fingerprint if header else b"")
    return kept


def count_other_models(left_out: LeftOut, fingerprints: Sequence[bytes]) -> None:
    """Counts the results apart that are there already, and that these models have not made."""
    others = sum(found not in (b"", *fingerprints) for found in left_out.models)
    left_out.counts[_PRESENT] -= others
    left_out.counts[_OF_ANOTHER_MODEL] += others


def describe_present(job: Job, *, compress: bool) -> str:
    """Returns what is wrong with a result; empty if nothing is.

    Args:
      job: whose result is there.
      compress: see `drop_present`.
    """
    if not _has_time(job):
        return _describe_time(job, compress=compress)
    packed, plain = (job.target, job.source) if compress else (job.source, job.target)
    try:
        with open(packed, "rb") as file:
            expected = _read_whole_info(file).original_size
        size = os.stat(plain).st_size
    except (DataError, OSError) as error:
        return f"but {'' if compress else f'{packed} '}cannot be used ({error})"
    if size == expected:
        return ""
    if compress:
        return f"but of a source of {expected:,} bytes, not of {size:,}"
    return f"but has {size:,} bytes, expected {expected:,}"


def describe_obstacle(job: Job, *, force: bool, compress: bool | None = None) -> str:
    """Returns why a result cannot be written where it belongs; empty if it can.

    Args:
      job: of the result.
      force: overwrite files that are there.
      compress: see `drop_present`; None: neither, a part of the source.
    """
    if not os.path.lexists(job.target):
        return ""
    if not force:
        problem = "" if compress is None else describe_present(job, compress=compress)
        there = f"{job.target} is there already" + (f", {problem}" if problem else "")
        return f"{there}: --force overwrites it"
    # Where a link leads there may be a source, or the only copy of another result.
    if not stat.S_ISREG(os.lstat(job.target).st_mode):
        return (
            f"{job.target} is a link, device, FIFO or folder, expected a file, which --force "
            "overwrites: remove it"
        )
    return ""


def _describe_time(job: Job, *, compress: bool) -> str:
    """Returns how a result differs in time from its source; empty where one is no file."""
    try:
        source, target = os.stat(job.source), os.lstat(job.target)
    except OSError:
        return ""
    if not stat.S_ISREG(target.st_mode):
        return ""
    # A compressed file has the time of the WAV that it was made of.
    if target.st_mtime_ns < source.st_mtime_ns:
        return "older than its source" if compress else "older than what was compressed"
    return "newer than its source" if compress else "modified later than what was compressed"


def _has_time(job: Job) -> bool:
    """Whether a file is there that has its source's time, unless that has changed since."""
    try:
        source, target = os.stat(job.source), os.lstat(job.target)
    except OSError:
        return False
    return source.st_mtime_ns == target.st_mtime_ns and stat.S_ISREG(target.st_mode)


def _read_whole_info(file: BinaryIO) -> Info:
    """Returns what a compressed file says of itself. Raises DataError where it is not whole."""
    info = read_info(file)
    if info.problem:
        raise DataError(info.problem)
    return info
