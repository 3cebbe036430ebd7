"""Checksums within a segment: of a damaged one, what is before the damage is known to be right.

K checksums, of the bytes of the source from the segment's beginning on.
"""

import struct
import zlib
from collections.abc import Iterator

from codec.header import Format
from runtime.errors import DataError
from runtime.formatting import format_timestamp

_LEAST, _BYTES = 2**15, 2**16  # Of a payload with, and in the end for, one checksum.
_SOON = 7  # Checksums that come earlier: a short file is lost by halves else.
CHECKSUM_BYTES = 4


def count_checksums(size: int, format_: Format, segment: int) -> int:
    """Returns K.

    They take at most 1/8,192 of the payload, and of a long one 1/16,384.

    Args:
      size: of the payload, in bytes, with the checksums.
      format_: of the file.
      segment: its number.
    """
    if format_.probe:
        return 0  # Such models code chunks from all over a segment at once.
    count = max(min(size // _LEAST, _SOON), size // _BYTES)
    return min(count, format_.frames_of(segment) - 1)


def checksum_places(count: int, format_: Format, segment: int) -> list[int]:
    """Returns the frames before each checksum, which are at equal distances."""
    frames = format_.frames_of(segment)
    return [frames * (k + 1) // (count + 1) for k in range(count)]


def add_checksums(payload: bytes, source: bytes, format_: Format, segment: int) -> bytes:
    """Returns the payload of a segment, behind its checksums.

    Args:
      payload: without them.
      source: the segment's bytes.
      format_: of the file.
      segment: its number.
    """
    count = 0
    while count_checksums(len(payload) + CHECKSUM_BYTES * count, format_, segment) > count:
        count += 1
    checksums, begin, crc = b"", 0, segment
    for place in checksum_places(count, format_, segment):
        end = place * format_.frame_bytes
        crc = zlib.crc32(memoryview(source)[begin:end], crc)
        checksums += struct.pack("<I", crc)
        begin = end
    return checksums + payload


def checked(
    parts: Iterator[bytes], checksums: bytes, format_: Format, segment: int
) -> Iterator[bytes]:
    """Yields what is decoded up to each checksum that is right, and then what follows the last one.

    Args:
      parts: of the segment's bytes, one after the other.
      checksums: as they are in the payload.
      format_: of the file.
      segment: its number.

    Raises:
      DataError: a checksum is wrong, or what `parts` raises: what was yielded before is right.
    """
    count = len(checksums) // CHECKSUM_BYTES
    stated = struct.unpack(f"<{count}I", checksums)
    ends = [frame * format_.frame_bytes for frame in checksum_places(count, format_, segment)]
    waiting, begin, crc = bytearray(), 0, segment
    for k, end in enumerate(ends):
        while len(waiting) < end - begin:
            waiting += _next(parts)
        part = bytes(memoryview(waiting)[: end - begin])
        crc = zlib.crc32(part, crc)
        if crc != stated[k]:
            frame = segment * format_.segment + begin // format_.frame_bytes
            time = format_timestamp(frame / format_.sample_rate)
            raise DataError(f"soon after {time} the samples have not the checksum of the source's")
        yield part
        del waiting[: end - begin]
        begin = end
    yield b"".join([bytes(waiting), *parts])


def _next(parts: Iterator[bytes]) -> bytes:
    part = next(parts, b"")
    if not part:
        raise DataError("a segment has fewer frames than it should")
    return part
