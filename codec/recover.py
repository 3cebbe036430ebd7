"""From a damaged file what is intact."""

import hashlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from codec import packing
from codec.beginning import Beginning, intact_bytes, is_any_intact, read_beginning
from codec.block_index import Index, index_blocks
from codec.blocks import Block, Kind
from codec.canonical import wav_header
from codec.damage import Findings, all_intact, is_all_lost, ranges
from codec.decoder import Opened, decode_block, plain_header, where_frames
from codec.header import HASH_BYTES, Format, end_payload
from runtime.errors import DataError
from runtime.formatting import format_timestamp
from runtime.threads import map_in_threads, threads_each


class _Part(NamedTuple):
    data: bytes
    problem: str = ""
    lost: tuple[int, int] | None = None  # Frames of the source, of a segment.


def recover_parts(opened: Opened, findings: Findings, *, num_threads: int = 1) -> Iterator[bytes]:
    """Yields what is intact, and silence for what is not.

    Of a damaged segment that is what is before the damage, as far as checksums within it show.

    Args:
      opened: the file, from `open_damaged`.
      findings: all that is wrong is added to it, and in the end the verdict.
      num_threads: for segments at once, and their channels.

    Raises:
      DataError: nothing is intact; `findings` are empty then.
    """
    format_ = opened.format
    report = findings.damage.append
    index = index_blocks(opened, report)
    if is_all_lost(opened, index) and not _is_any_intact(opened, index):
        findings.damage.clear()
        raise DataError("no block is intact: nothing could be recovered")
    header = plain_header(opened)
    if format_ and not header and not index.before:
        report("the header of the WAV: a plain one in its place")
        header = wav_header(format_, format_.encoding, format_.frames)

    each = threads_each(num_threads, format_.num_segments if format_ else 1)

    def decode(found: Block | Beginning) -> _Part:
        if isinstance(found, Beginning):
            return _with_silence(
                format_, found.segment, intact_bytes(opened, found, num_threads=each)
            )
        try:
            return _Part(decode_block(opened, found, num_threads=each))
        except DataError as error:
            lost = _Part(b"")
            if found.kind is not Kind.BYTES:
                lost = _with_silence(format_, found.segment, b"")
            return lost._replace(problem=str(error))

    digest = hashlib.blake2b(header, digest_size=HASH_BYTES)
    yield header
    lost: list[tuple[int, int]] = []
    parts = map_in_threads(decode, _blocks_in_order(opened, index), num_threads, ahead=num_threads)
    for part in parts:
        if part.problem:
            report(part.problem)
        if part.lost:
            lost.append(part.lost)
        digest.update(part.data)
        yield part.data
    if format_:
        for begin, end in ranges(lost):
            report(f"{where_frames(format_, begin, end)}: silence in its place")
    if index.end is None:
        report("the end, with the hash of the source: not found")
    state = None if index.end is None else end_payload(digest.digest(), format_) == index.end
    findings.verdict, findings.is_whole = _verdict(format_, lost, state), bool(state)


def _verdict(format_: Format | None, lost: list[tuple[int, int]], matches: bool | None) -> str:
    """Returns whether anything is lost.

    Args:
      format_: of the file.
      lost: frames, of a segment each.
      matches: whether the result has the hash of the source; None: that is not known.
    """
    if matches:
        return "nothing is lost: the hash of the source matches"
    count = format_.num_segments if format_ else 0
    if format_ and lost:
        if all(begin % format_.segment == 0 for begin, _ in lost):
            return f"{len(lost)} of {count} segments lost"
        frames = sum(end - begin for begin, end in lost), format_.frames
        seconds, total = (format_timestamp(x / format_.sample_rate) for x in frames)
        return f"{len(lost)} of {count} segments damaged: {seconds} of {total} lost"
    intact = f"{all_intact(count)}; " if count else ""
    around = " around them" if count else ""
    if matches is None:
        unknown = "is not known: the hash of the source is damaged"
        return f"{intact}whether bytes{around} are lost {unknown}"
    differs = "the hash of the source differs"
    return f"{intact}{differs}: bytes{around} are lost, or blocks are of another file"


def _blocks_in_order(opened: Opened, index: Index) -> Iterator[Block | Beginning]:
    """Yields blocks as in an undamaged file, and what there is of segments that are damaged."""
    file = opened.file
    for place in index.before:
        yield place.read(file)
    for number in range(opened.format.num_segments if opened.format else 0):
        if number in index.segments:
            yield index.segments[number].read(file)
        else:
            yield read_beginning(file, number, index.damaged.get(number, ()))
    for place in index.behind:
        yield place.read(file)


def _is_any_intact(opened: Opened, index: Index) -> bool:
    """Whether of any damaged segment there is anything."""
    found = (read_beginning(opened.file, *places) for places in index.damaged.items())
    return any(is_any_intact(opened, beginning) for beginning in found)


def _with_silence(format_: Format | None, number: int, kept: bytes) -> _Part:
    """Returns what is kept of a segment, and silence behind it."""
    if format_ is None:
        return _Part(kept)
    begin, end = format_.span_of(number)
    begin += len(kept) // format_.frame_bytes
    zeros = np.zeros((end - begin, format_.channels), np.int32)
    return _Part(kept + packing.pack(zeros, format_.encoding, 0), lost=(begin, end))
