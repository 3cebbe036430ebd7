"""The blocks of a file: a stretch of the source's bytes each.

Of frames, as integers that the model predicts, or of anything else. Put one after the other, what
they hold is the source. `docs/reference/format.md` has them byte by byte.
"""

import enum
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from codec.fields import Fields, number, read_exactly, read_number, truncated
from codec.header import HASH_BYTES, MAX_SAMPLES, MOST_FORMAT, Format
from runtime.errors import DataError

MAX_BYTES = 2**20
"""Of the source in a block of BYTES."""
CRC_BYTES = 4
"""Of the CRC behind the head of a block."""
LEAST_BLOCK = 8
"""Bytes of a block at least."""


class Kind(enum.IntEnum):
    """What a block holds."""

    END = 0  # The hash of the source, and the format once more.
    BYTES = 1  # Bytes around the samples: a method, and they.
    FRAMES = 2  # A segment as the model codes it: a variant of `packing`, and it.
    FRAMES_AS_BYTES = 3  # A segment that is not integers: as BYTES.


SEGMENT_KINDS = (Kind.FRAMES, Kind.FRAMES_AS_BYTES)
"""Of blocks that hold a segment."""


class Block(NamedTuple):
    """A block.

    Attributes:
      kind: what it holds.
      segment: its number among the segments; of BYTES: 0 before the frames, 1 behind them.
      payload: what it holds, checked.
      offset: where it begins in the file.
    """

    kind: Kind
    segment: int
    payload: bytes
    offset: int


def block(kind: Kind, segment: int, payload: bytes) -> bytes:
    """Returns a block as bytes: length, kind and segment, a check of these; CRC; payload."""
    head = head_numbers(kind, segment, len(payload))
    check = zlib.crc32(payload, zlib.crc32(head))
    return head + bytes([zlib.crc32(head) & 255]) + struct.pack("<I", check) + payload


def head_numbers(kind: Kind, segment: int, size: int) -> bytes:
    """Returns what a block with so many bytes of payload begins with, up to the check byte."""
    return number(size << 2 | kind) + (number(segment) if kind else b"")


def most_payload(kind: Kind, format_: Format | None) -> int:
    """Returns how many bytes the payload of a block may have."""
    if kind in (Kind.END, Kind.BYTES):
        return MAX_BYTES + 1 if kind is Kind.BYTES else HASH_BYTES + MOST_FORMAT
    if format_ is None:
        return 8 * MAX_SAMPLES + 3
    samples = min(format_.frames, format_.segment) * format_.channels
    return samples * max(4, format_.encoding.bytes_per_sample) + 3


def read_block(file: BinaryIO, format_: Format | None = None) -> Block:
    """Reads the next block.

    Args:
      file: at a block's beginning.
      format_: of the file, which says how large a block may be.

    Raises:
      DataError: it is damaged or truncated. `file` is then behind the block if its length is known
        and at its beginning if not.
    """
    offset = file.tell()
    head = _read_bounded_head(file, format_)
    check = read_exactly(file, 4, "a block", behind=head.size)
    payload = read_exactly(file, head.size, "a block")
    if struct.pack("<I", zlib.crc32(payload, head.crc)) != check:
        raise DataError(f"the block at byte {offset} is damaged")
    return Block(head.kind, head.segment, payload, offset)


def skim_blocks(file: BinaryIO, format_: Format | None = None) -> Iterator[Block]:
    """Yields the blocks to the END by their heads, with empty payloads but for the END's.

    After each, `file` is behind it. Raises DataError as `read_block`.
    """
    kind, place = None, file.tell()
    end = file.seek(0, 2)
    file.seek(place)
    while kind is not Kind.END:
        offset = file.tell()
        head = _read_bounded_head(file, format_)
        kind = head.kind
        if kind is Kind.END:
            file.seek(offset)
            yield read_block(file, format_)
        else:
            if (missing := file.seek(4 + head.size, 1) - end) > 0:
                raise truncated("a block", missing)
            yield Block(kind, head.segment, b"", offset)


def _read_bounded_head(file: BinaryIO, format_: Format | None) -> "Head":
    """Reads the head of a block that may be so large; goes back where it may not."""
    offset = file.tell()
    try:
        head = read_head(file)
        if head.size > (most := most_payload(head.kind, format_)):
            raise DataError(
                f"the block at byte {offset} has {head.size} bytes, expected at most {most}"
            )
    except DataError:
        file.seek(offset)
        raise
    return head


class Head(NamedTuple):
    """What a block begins with.

    Attributes:
      size: of the payload.
      kind: what it holds.
      segment: as in `Block`.
      crc: of the head.
    """

    size: int
    kind: Kind
    segment: int
    crc: int


def read_head(file: BinaryIO) -> Head:
    """Reads the head of a block, up to its check. Raises DataError."""
    first = read_number(file)
    size, kind = Fields(first).number() >> 2, Kind(first[0] & 3)
    second = read_number(file) if kind else b""
    crc = zlib.crc32(first + second)
    if read_exactly(file, 1, "a block")[0] != crc & 255:
        raise DataError(f"the head of the block at byte {file.tell()} is damaged")
    return Head(size, kind, Fields(second).number() if second else 0, crc)
