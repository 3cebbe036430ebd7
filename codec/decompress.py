"""From a compressed file back to the source, or to a part of it."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO, NamedTuple

import numpy as np

from codec import packing
from codec.canonical import canonical_header
from codec.container import (
    HASH_BYTES,
    Block,
    Format,
    Kind,
    read_block,
    read_header,
    unpack_bytes,
)
from codec.model import CodecModel, find_model, require_probe
from codec.progress import Progress, no_progress
from codec.segments import decode_segment
from runtime.errors import DataError
from runtime.formatting import format_time
from runtime.threads import map_in_threads

MOST_BYTES = 2**20  # Of a block around the samples.


class Opened(NamedTuple):
    """A compressed file whose header has been read.

    Attributes:
      file: behind the header.
      format: of its samples; None if there are none.
      model: that codes them.
    """

    file: BinaryIO
    format: Format | None
    model: CodecModel | None


def open_compressed(
    file: BinaryIO, models: Sequence[CodecModel], folders: Sequence[str] = ()
) -> Opened:
    """Reads the header, and finds the model.

    Raises:
      DataError: there is no header, or no model, or it computes other floats here.
    """
    format_ = read_header(file)
    model = None if format_ is None else find_model(format_.fingerprint, models, folders)
    if format_ is not None and model is not None:
        require_probe(model, format_)
    return Opened(file, format_, model)


def decompress_parts(
    opened: Opened, *, num_threads: int = 1, progress: Progress = no_progress
) -> Iterator[bytes]:
    """Yields the bytes of the source, one part after the other; nothing that is wrong.

    Args:
      opened: the file.
      num_threads: segments at once.
      progress: is told what has been decoded.

    Raises:
      DataError: the file is damaged, truncated or spliced: which segment, and the seconds of it.
        The parts before it were right; whether all is there is known at the end only.
    """
    digest = hashlib.blake2b(digest_size=HASH_BYTES)

    def decode(found: Block) -> bytes:
        return found.payload if found.kind is Kind.END else decode_block(opened, found)

    format_ = opened.format
    byte_rate = format_.frame_bytes * format_.sample_rate if format_ else 0

    stated = b""
    blocks = checked_blocks(opened)
    for part, found in map_in_threads(
        lambda found: (decode(found), found), blocks, num_threads, ahead=num_threads
    ):
        if found.kind is Kind.END:
            stated = part
        else:
            digest.update(part)
            seconds = 0.0 if found.kind is Kind.BYTES else len(part) / byte_rate
            progress(len(found.payload), len(part), seconds)
            yield part
    if digest.digest() != stated:
        raise DataError("all blocks are intact, but they are not those of one file: spliced")


def checked_blocks(opened: Opened) -> Iterator[Block]:
    """Yields the blocks, segments in their order, to the end and no further. Raises DataError."""
    segments = opened.format.num_segments if opened.format else 0
    following = 0
    while True:
        try:
            found = read_block(opened.file)
        except DataError as error:
            raise DataError(f"{error} ({where(opened.format, following)})") from error
        if found.kind in (Kind.FRAMES, Kind.FRAMES_AS_BYTES):
            if found.segment != following or following >= segments:
                raise DataError(
                    f"segment {found.segment} follows where {where(opened.format, following)} was "
                    "expected: spliced or swapped"
                )
            following += 1
        yield found
        if found.kind is Kind.END:
            break
    if following < segments:
        raise DataError(f"{segments - following} of {segments} segments are missing")
    if opened.file.read(1):
        raise DataError("there are bytes after the end")


def decode_block(opened: Opened, found: Block) -> bytes:
    """Returns the bytes of the source that a block holds. Raises DataError."""
    format_ = opened.format
    try:
        if found.kind is Kind.BYTES:
            return unpack_bytes(
                found.payload, MOST_BYTES, canonical_header(format_) if format_ else b""
            )
        if format_ is None or opened.model is None:
            raise DataError("the header knows of no samples")
        count = format_.frames_of(found.segment)
        if found.kind is Kind.FRAMES_AS_BYTES:
            data = unpack_bytes(found.payload, count * format_.frame_bytes)
        else:
            frames, variant = decode_frames(opened, found)
            data = packing.pack(frames, format_.encoding, variant)
        if len(data) != count * format_.frame_bytes:
            raise DataError(f"{len(data)} bytes, expected {count * format_.frame_bytes}")
        return data
    except DataError as error:
        raise DataError(f"{error} ({where(format_, found.segment)})") from error


def decode_frames(opened: Opened, found: Block) -> tuple[np.ndarray, int]:
    """Returns the integers of a segment, int32 [n, C], and their variant, see `packing`."""
    format_, model = opened.format, opened.model
    if format_ is None or model is None or not found.payload:
        raise DataError("the header knows of no samples")
    count = format_.frames_of(found.segment)
    frames = decode_segment(model.coder, found.payload[1:], count, format_.channels)
    variant = found.payload[0]
    if variant >= packing.NUM_VARIANTS:
        raise DataError(f"samples are packed by the unknown way {variant}")
    return frames, variant


def where(format_: Format | None, segment: int) -> str:
    """Returns a segment's number and its place in time."""
    if format_ is None or segment >= format_.num_segments:
        return "after the last segment"
    first = segment * format_.segment
    times = [
        format_time(f / format_.sample_rate) for f in (first, first + format_.frames_of(segment))
    ]
    return f"segment {segment + 1} of {format_.num_segments}, {times[0]} to {times[1]}"


Report = Callable[[str], None]


def recover_parts(opened: Opened, report: Report, *, num_threads: int = 1) -> Iterator[bytes]:
    """Yields what is intact, and silence for the segments that are not.

    Args:
      opened: the file; its header must be intact.
      report: is called with each thing that is lost.
      num_threads: segments at once.
    """

    def decode(found: Block) -> bytes:
        if found.kind is Kind.FRAMES and not found.payload:
            report(f"lost, and silence in its place: {where(opened.format, found.segment)}")
            return _silence(opened, found.segment)
        try:
            return decode_block(opened, found)
        except DataError as error:
            report(str(error))
            return _silence(opened, found.segment) if found.kind is not Kind.BYTES else b""

    yield from map_in_threads(
        decode, _intact_blocks(opened, report), num_threads, ahead=num_threads
    )


def _intact_blocks(opened: Opened, report: Report) -> Iterator[Block]:
    """Yields the blocks that are intact, and empty ones for the segments that are missing."""
    segments = opened.format.num_segments if opened.format else 0
    following = 0
    while True:
        start = opened.file.tell()
        try:
            found = read_block(opened.file)
        except DataError as error:
            report(f"{error} ({where(opened.format, following)})")
            if not _seek_block(opened.file, start + 1):
                break
            continue
        if found.kind in (Kind.FRAMES, Kind.FRAMES_AS_BYTES):
            if not following <= found.segment < segments:
                continue
            for lost in range(following, found.segment):
                yield Block(Kind.FRAMES, lost, b"", start)
            following = found.segment + 1
        elif following or found.kind is Kind.END:
            for lost in range(following, segments):
                yield Block(Kind.FRAMES, lost, b"", start)
            following = max(following, segments)
        if found.kind is Kind.END:
            return
        yield found
    for lost in range(following, segments):
        yield Block(Kind.FRAMES, lost, b"", 0)


def _seek_block(file: BinaryIO, start: int) -> bool:
    """Goes to the next intact block from a byte on; returns whether there is one."""
    file.seek(0, 2)
    size = file.tell()
    for offset in range(start, size):
        file.seek(offset)
        try:
            read_block(file)
        except (DataError, ValueError):
            continue
        file.seek(offset)
        return True
    return False


def _silence(opened: Opened, segment: int) -> bytes:
    format_ = opened.format
    if format_ is None:
        return b""
    zeros = np.zeros((format_.frames_of(segment), format_.channels), np.int32)
    return packing.pack(zeros, format_.encoding, 0)
