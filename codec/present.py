"""Results that are there already, so that an interrupted command goes on."""

import collections
import os
import stat
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple

from codec.blocks import MAX_BYTES, Kind, read_block, skim_blocks
from codec.canonical import canonical_header
from codec.header import read_header
from codec.jobs import Job
from codec.left_out import LeftOut
from codec.plain_bytes import unpack_bytes
from runtime.errors import DataError

_PRESENT = "there already; --force overwrites"
_OF_ANOTHER_MODEL = "there already, by another model; --force overwrites"


class _Packed(NamedTuple):
    fingerprint: bytes  # Of the model; b"" for none.
    source_bytes: int


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
                left_out.models.append(_skim(file).fingerprint)
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
            expected = _skim(file).source_bytes
        size = os.stat(plain).st_size
    except (DataError, OSError) as error:
        return f"but {'' if compress else f'{packed} '}cannot be used ({error})"
    if size == expected:
        return ""
    if compress:
        return f"but of a source of {expected:,} bytes, not of {size:,}"
    return f"but has {size:,} bytes, expected {expected:,}"


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


def _skim(file: BinaryIO) -> _Packed:
    """Returns what a compressed file says of its source. Raises DataError where it is not whole."""
    format_ = read_header(file)
    size = segments = 0
    if format_ is not None:
        size = format_.frames * format_.frame_bytes
        size += len(canonical_header(format_)) if format_.has_plain_header else 0
    offsets = collections.defaultdict(list)  # Of other bytes, before and behind the frames.
    for found in skim_blocks(file, format_):
        if found.kind is Kind.BYTES:
            offsets[found.segment].append(found.offset)
        segments += found.kind in (Kind.FRAMES, Kind.FRAMES_AS_BYTES)
    if file.read(1):
        raise DataError("there are bytes after the end")
    if format_ is not None and segments != format_.num_segments:
        raise DataError(f"{format_.num_segments - segments} segments are missing")
    for places in offsets.values():  # All but the last have as many as there may be.
        file.seek(places[-1])
        last = unpack_bytes(read_block(file, format_).payload, MAX_BYTES)
        size += MAX_BYTES * (len(places) - 1) + len(last)
    return _Packed(format_.fingerprint if format_ else b"", size)
