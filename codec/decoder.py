"""From a compressed file back to the source, or to a part of it."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from codec.blocks import (
    LEAST_BLOCK,
    MAX_BYTES,
    SEGMENT_KINDS,
    Block,
    Kind,
    read_block,
    skim_blocks,
)
from codec.canonical import canonical_header
from codec.frames import decode_frames, join_first
from codec.header import HASH_BYTES, Format, end_payload, read_header
from codec.model import CodecModel, find_model, require_probe
from codec.plain_bytes import unpack_bytes
from codec.progress import BlockProgress, Progress, no_progress
from models.interface import Advance
from runtime.errors import DataError
from runtime.formatting import format_timestamp
from runtime.threads import map_in_threads, threads_each


class Opened(NamedTuple):
    """A compressed file whose header has been read.

    Attributes:
      file: behind the header.
      format: of its samples; None if there are none.
      model: that codes them; None if none is needed, and it was not found.
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
    if format_ is not None:
        require_plausible(file, format_)
    model = None
    if format_ is not None:
        try:
            model = find_model(format_.fingerprint, models, folders)
        except DataError:
            if _needs_model(file, format_):
                raise
    if format_ is not None and model is not None:
        require_probe(model, format_)
    return Opened(file, format_, model)


def _needs_model(file: BinaryIO, format_: Format) -> bool:
    """Whether a segment is coded by a model; where blocks are damaged, it may be."""
    place = file.tell()
    try:
        return any(found.kind is Kind.FRAMES for found in skim_blocks(file, format_))
    except DataError:
        return True
    finally:
        file.seek(place)


def require_plausible(file: BinaryIO, format_: Format) -> None:
    """Raises DataError where a file has fewer bytes than its segments need at the very least."""
    place = file.tell()
    size = file.seek(0, 2)
    file.seek(place)
    if format_.num_segments > size // LEAST_BLOCK:
        raise DataError(
            f"the header declares {format_.num_segments:,} segments, which {size:,} bytes cannot "
            "hold: truncated"
        )


def decompress_parts(
    opened: Opened, *, num_threads: int = 1, progress: Progress = no_progress
) -> Iterator[bytes]:
    """Yields the bytes of the source, one part after the other; nothing that is wrong.

    Args:
      opened: the file.
      num_threads: for segments at once, and their channels.
      progress: is told what has been decoded.

    Raises:
      DataError: the file is damaged, truncated or spliced: which segment, and the seconds of it.
        The parts before it were right; whether all is there is known at the end only.
    """
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    if first := plain_header(opened):
        digest.update(first)
        yield first

    each = threads_each(num_threads, opened.format.num_segments if opened.format else 1)

    def decode(found: Block) -> tuple[Kind, bytes]:
        if found.kind is Kind.END:
            return found.kind, found.payload
        return found.kind, decode_block(opened, found, num_threads=each, progress=progress)

    stated = b""
    blocks = checked_blocks(opened)
    for kind, part in map_in_threads(decode, blocks, num_threads, ahead=num_threads):
        if kind is Kind.END:
            stated = part
        else:
            digest.update(part)
            yield part
    if end_payload(digest.digest(), opened.format) != stated:
        raise DataError("all blocks are intact, but they are not those of one file: spliced")


def plain_header(opened: Opened) -> bytes:
    """Returns the header of a WAV, where it follows from the format; else nothing."""
    format_ = opened.format
    return canonical_header(format_) if format_ and format_.has_plain_header else b""


def checked_blocks(opened: Opened) -> Iterator[Block]:
    """Yields the blocks, segments in their order, to the end and no further. Raises DataError."""
    segments = opened.format.num_segments if opened.format else 0
    following = 0
    while True:
        try:
            found = read_block(opened.file, opened.format)
        except DataError as error:
            raise DataError(f"{error} ({where(opened.format, following)})") from error
        if found.kind is Kind.BYTES:
            expected = (0 < segments == following) if found.segment else following == 0
            if found.segment > 1 or not expected:
                raise DataError(
                    f"the block at byte {found.offset} is not in its place: spliced or swapped"
                )
        if found.kind in SEGMENT_KINDS:
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


def decode_block(
    opened: Opened,
    found: Block,
    *,
    frames: int | None = None,
    num_threads: int = 1,
    progress: Progress = no_progress,
) -> bytes:
    """Returns the bytes of the source that a block holds.

    Args:
      opened: the file.
      found: the block.
      frames: of a segment, that are enough: the result may end behind them; None: all.
      num_threads: that its channels share.
      progress: is told what has been decoded.

    Raises:
      DataError: they are damaged.
    """
    format_, told = opened.format, BlockProgress(progress)
    try:
        if found.kind is Kind.BYTES:
            data = unpack_bytes(found.payload, MAX_BYTES)
            told.end(len(found.payload), len(data), 0.0)
            return data
        if format_ is None:
            raise DataError("the header knows of no samples")
        count = format_.frames_of(found.segment)
        if found.kind is Kind.FRAMES_AS_BYTES:
            data = unpack_bytes(found.payload, count * format_.frame_bytes)
        else:
            if opened.model is None:
                raise DataError("no model is known that codes them")
            parts = decode_frames(
                opened.model,
                format_,
                found.segment,
                found.payload,
                num_threads=num_threads,
                advance=_advance(format_, told),
            )
            if frames is not None and frames < count:
                size = frames * format_.frame_bytes
                data = join_first(parts, size)
                if len(data) < size:
                    raise DataError(f"{len(data)} bytes, expected {size} or more")
                return data
            data = b"".join(parts)
        if len(data) != count * format_.frame_bytes:
            raise DataError(f"{len(data)} bytes, expected {count * format_.frame_bytes}")
        told.end(len(found.payload), len(data), count / format_.sample_rate)
        return data
    except DataError as error:
        is_segment = found.kind is not Kind.BYTES
        place = where(format_, found.segment) if is_segment else "around the samples"
        raise DataError(f"{error} ({place})") from error


def _advance(format_: Format, told: BlockProgress) -> Advance:
    def advance(samples: int, bits: float) -> None:
        size = samples * format_.encoding.bytes_per_sample
        told.add(round(bits / 8), size, samples / format_.channels / format_.sample_rate)

    return advance


def where(format_: Format | None, segment: int) -> str:
    """Returns the number of a segment, and its place in time."""
    if format_ is None:
        return "of a file that is no audio"
    if not format_.num_segments:
        return "of a file without samples"
    if segment >= format_.num_segments:
        return "after the last segment"
    return where_frames(format_, *format_.span_of(segment))


def where_frames(format_: Format, begin: int, end: int) -> str:
    """Returns the segments of some frames, `begin` to `end`, exclusive, and their place in time."""
    first, last = begin // format_.segment + 1, -(-end // format_.segment)
    numbers = f"segment {first}" if first == last else f"segments {first} to {last}"
    return f"{numbers} of {format_.num_segments}, {times(format_, begin, end)}"


def times(format_: Format, begin: int, end: int) -> str:
    """Returns where some frames begin and end."""
    return " to ".join(format_timestamp(frame / format_.sample_rate) for frame in (begin, end))
