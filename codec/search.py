"""The intact blocks of a damaged file."""

import io
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

import numpy as np

from codec.blocks import CRC_BYTES, Block, Head, Kind, most_payload, read_block, read_head
from codec.fields import number
from codec.header import Format
from runtime.errors import DataError

_FIRST_WINDOW, _LAST_WINDOW = 2**12, 2**20  # Bytes that are looked at together.
_HEAD_BYTES = 2 * 9 + 1
_WORK_PER_BYTE = 256  # Bytes that are checked, for each of the file.
# The usual table: of a byte k, whose CRC begins with all ones and ends with a negation.
_TABLE = np.array([zlib.crc32(bytes([k ^ 255])) for k in range(256)], np.uint32)
_TABLE ^= np.uint32(0xFF000000)


def intact_blocks(
    file: BinaryIO,
    start: int,
    format_: Format | None,
    on_damage: Callable[[int, int], None],
    kinds: frozenset[Kind] = frozenset(Kind),
) -> Iterator[Block]:
    """Yields the blocks from a byte on that are intact, in the order of the file.

    The time is linear in the length of the file, also where it was made to look like blocks.

    Args:
      file: the file.
      start: where the first block should begin.
      format_: of the file.
      on_damage: is given first and last byte, exclusive, of all that is no intact block.
      kinds: of the blocks that are looked for.

    Raises:
      DataError: too much of the file looks like blocks, but is none.
    """
    size = file.seek(0, 2)
    most_work = _WORK_PER_BYTE * size + 2**28
    segments = max(2, format_.num_segments if format_ else 0)
    most = max(most_payload(kind, format_) for kind in kinds)
    lengths = len(number(most << 2 | 3)), len(number(segments - 1))
    place = damage = start
    while place < size:
        found = None
        for offset in _offsets(file, place, size, lengths):
            head = _plausible_head(file, offset, size, format_, kinds)
            if head is None:
                continue
            most_work -= head.size
            if most_work < 0:
                raise DataError(
                    f"behind byte {damage} too much looks like blocks, and is none: given up"
                )
            found = _block_at(file, offset, format_)
            if found is not None:
                break
        if found is None:
            break
        if found.offset > damage:
            on_damage(damage, found.offset)
        place = damage = file.tell()
        yield found
    if damage < size:
        on_damage(damage, size)


class Damaged(NamedTuple):
    """A segment whose block is damaged.

    Attributes:
      segment: its number.
      size: of the payload.
      offset: where the payload begins in the file, and
      end: where, at the latest, what there is of it ends.
    """

    segment: int
    size: int
    offset: int
    end: int


def damaged_segments(
    file: BinaryIO, start: int, end: int, format_: Format | None
) -> Iterator[Damaged]:
    """Yields the segments of which, among bytes that are no intact block, a head is intact.

    Args:
      file: the file.
      start: where the first block should begin; others where the one before should end.
      end: of these bytes.
      format_: of the file.
    """
    while start < end:
        file.seek(start)
        try:
            head = read_head(file)
        except DataError:
            return
        if not _is_plausible(head, most_payload(head.kind, format_), format_):
            return
        offset = file.tell() + CRC_BYTES
        start = offset + head.size
        if head.kind is Kind.FRAMES and offset < end:
            yield Damaged(head.segment, head.size, offset, min(start, end))


def _plausible_head(
    file: BinaryIO, offset: int, size: int, format_: Format | None, kinds: frozenset[Kind]
) -> Head | None:
    """Returns the head at a byte, if a block of this file may have it."""
    file.seek(offset)
    try:
        head = read_head(io.BytesIO(file.read(_HEAD_BYTES)))
    except DataError:
        return None
    most = min(most_payload(head.kind, format_), size - offset)
    return head if head.kind in kinds and _is_plausible(head, most, format_) else None


def _is_plausible(head: Head, most: int, format_: Format | None) -> bool:
    """Whether a file may have a block with such a head, and at most so many bytes of payload."""
    segments = {Kind.END: 1, Kind.BYTES: 2}.get(head.kind, format_.num_segments if format_ else 0)
    return head.segment < segments and head.size <= most


def _block_at(file: BinaryIO, offset: int, format_: Format | None) -> Block | None:
    file.seek(offset)
    try:
        return read_block(file, format_)
    except DataError:
        return None


def _offsets(file: BinaryIO, start: int, size: int, lengths: tuple[int, int]) -> Iterator[int]:
    """Yields the bytes from one on where the check byte of a head is right; `start` in any case."""
    yield start
    first, window = start + 1, _FIRST_WINDOW
    while first < size:
        file.seek(first)
        heads = _heads(np.frombuffer(file.read(window + _HEAD_BYTES), np.uint8), *lengths)
        yield from (first + heads[heads < window]).tolist()
        first += window
        window = min(2 * window, _LAST_WINDOW)


def _heads(data: np.ndarray, size_bytes: int, segment_bytes: int) -> np.ndarray:  # int64 [heads]
    """Returns where heads begin whose check byte is right.

    Args:
      data: uint8 [n].
      size_bytes: of the first number of a head at most.
      segment_bytes: of the second.
    """
    last = np.where(data < 128, np.arange(data.size), data.size)
    last = np.minimum.accumulate(last[::-1])[::-1]  # Of the number that begins here.
    last = np.append(last, data.size)
    begin = np.arange(data.size)
    size_end = last[:-1]
    end = np.where(data & 3, last[np.minimum(size_end + 1, data.size)], size_end)
    is_head = (size_end - begin < size_bytes) & (end - size_end <= segment_bytes)
    begin = begin[is_head & (end + 1 < data.size)]
    end = end[begin]
    crc = np.full(begin.size, 0xFFFFFFFF, np.uint32)
    found = []
    place = begin
    while begin.size:
        crc = _TABLE[(crc ^ data[place]) & 255] ^ crc >> np.uint32(8)
        is_last = place == end
        is_right = is_last & ((~crc & 255) == data[np.minimum(place + 1, data.size - 1)])
        found.append(begin[is_right])
        begin, end, crc, place = (x[~is_last] for x in (begin, end, crc, place + 1))
    return np.sort(np.concatenate(found)) if found else np.zeros(0, np.int64)
