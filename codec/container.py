"""The file: a header, blocks, an end. `docs/format.md` has it byte by byte.

A block is a stretch of the source's bytes: of frames, as integers that the model predicts, or of
anything else. Put one after the other, what they hold is the source.
"""

import dataclasses
import enum
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import BinaryIO, NamedTuple

from codec.fields import Fields, number
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError

MAGIC = b"wvst"
VERSION = 1
FINGERPRINT_BYTES = 8
PROBE_BYTES = 8
HASH_BYTES = 16
MAX_CHANNELS = 1024
MAX_SEGMENT = 2**26
_MOST_FORMAT = 64
_MOST_MADE_WITH = 24
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**22}]


class Kind(enum.IntEnum):
    """What a block holds."""

    END = 0  # The hash of the source.
    BYTES = 1  # Bytes around the samples: a method, and they.
    FRAMES = 2  # A segment as the model codes it: a variant of `packing`, and it.
    FRAMES_AS_BYTES = 3  # A segment that is not integers: as BYTES.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """What the samples of a source are, and which model codes them.

    Attributes:
      fingerprint: of the model.
      encoding: of the samples.
      channels: C.
      sample_rate: in Hz.
      frames: in the source.
      segment: frames of a segment; the last one may be shorter.
      probe: PROBE_BYTES of the floats that the model computes where the file was made; empty: the
        model is exact.
      made_with: a name of what they depend on.
    """

    fingerprint: bytes
    encoding: Encoding
    channels: int
    sample_rate: int
    frames: int
    segment: int
    probe: bytes = b""
    made_with: str = ""

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame in the source."""
        return self.channels * self.encoding.bytes_per_sample

    @property
    def num_segments(self) -> int:
        """Segments in the source."""
        return -(-self.frames // self.segment)

    def frames_of(self, segment: int) -> int:
        """Returns the frames of one segment."""
        return min(self.segment, self.frames - segment * self.segment)


class Block(NamedTuple):
    """A block.

    Attributes:
      kind: what it holds.
      segment: its number among the segments, or 0.
      payload: what it holds, checked.
      offset: where it begins in the file.
    """

    kind: Kind
    segment: int
    payload: bytes
    offset: int


def header(format_: Format | None) -> bytes:
    """Returns the beginning of a file; without a format it has no frames."""
    fields = b""
    if format_ is not None:
        numbers = (
            format_.encoding,
            format_.channels,
            format_.sample_rate,
            format_.frames,
            format_.segment,
        )
        fields = format_.fingerprint + b"".join(map(number, numbers))
        if format_.probe:
            fields += format_.probe + format_.made_with.encode("ascii", "replace")[:_MOST_MADE_WITH]
    data = MAGIC + bytes([VERSION, len(fields)]) + fields
    return data + struct.pack("<I", zlib.crc32(data))


def read_header(file: BinaryIO) -> Format | None:
    """Reads the beginning of a file. Raises DataError where it is damaged or of another kind."""
    start = _exactly(file, len(MAGIC) + 2, "the header")
    if not start.startswith(MAGIC):
        raise DataError(f"not a .wvst file: it begins with {start[:4]!r}, expected {MAGIC!r}")
    if start[4] != VERSION:
        raise DataError(
            f"the format has version {start[4]}, this wavestream reads version {VERSION}"
        )
    size = start[5]
    if size > _MOST_FORMAT:
        raise DataError("the header is damaged")
    rest = _exactly(file, size + 4, "the header")
    if struct.pack("<I", zlib.crc32(start + rest[:size])) != rest[size:]:
        raise DataError("the header is damaged")
    return _parse_format(rest[:size]) if size else None


def _parse_format(data: bytes) -> Format:
    fields = Fields(data)
    fingerprint = fields.take(FINGERPRINT_BYTES)
    encoding, channels, sample_rate, frames, segment = (fields.number() for _ in range(5))
    if (
        encoding not in list(Encoding)
        or not 0 < channels <= MAX_CHANNELS
        or not 0 < segment <= MAX_SEGMENT
    ):
        raise DataError("the header says what cannot be: damaged, or of a later version")
    probe = fields.take(PROBE_BYTES) if fields.left else b""
    return Format(
        fingerprint=fingerprint,
        encoding=Encoding(encoding),
        channels=channels,
        sample_rate=sample_rate,
        frames=frames,
        segment=segment,
        probe=probe,
        made_with=fields.rest().decode("ascii", "replace"),
    )


def block(kind: Kind, segment: int, payload: bytes) -> bytes:
    """Returns a block as bytes: length, kind and segment, a check of these; CRC; payload."""
    head = number(len(payload) << 2 | kind) + number(segment)
    check = zlib.crc32(payload, zlib.crc32(head))
    return head + bytes([_check(head)]) + struct.pack("<I", check) + payload


def read_block(file: BinaryIO, *, skip: Callable[[Kind, int], bool] | None = None) -> Block:
    """Reads the next block.

    Args:
      file: at a block's beginning.
      skip: given the block's kind and segment, whether its payload is passed over, and empty.

    Raises:
      DataError: it is damaged or truncated. `file` is then behind the block if its length is known
        and at its beginning if not.
    """
    offset = file.tell()
    try:
        size, kind, segment, head = _read_head(file)
    except DataError:
        file.seek(offset)
        raise
    check = _exactly(file, 4, "a block")
    if skip is not None and skip(kind, segment):
        file.seek(size, 1)
        return Block(kind, segment, b"", offset)
    payload = _exactly(file, size, "a block")
    if struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))) != check:
        raise DataError(f"the block at byte {offset} is damaged")
    return Block(kind, segment, payload, offset)


def _read_head(file: BinaryIO) -> tuple[int, Kind, int, bytes]:
    raw = b""
    values = []
    for _ in range(2):
        start = len(raw)
        while len(raw) == start or raw[-1] > 127:
            raw += _exactly(file, 1, "a block")
            if len(raw) - start > 9:
                raise DataError("the head of a block is damaged")
        values.append(Fields(raw[start:]).number())
    if _exactly(file, 1, "a block")[0] != _check(raw):
        raise DataError(f"the head of the block at byte {file.tell()} is damaged")
    return values[0] >> 2, Kind(values[0] & 3), values[1], raw


def _check(head: bytes) -> int:
    return zlib.crc32(head) & 255


def pack_bytes(data: bytes, canonical: bytes = b"") -> bytes:
    """Returns any bytes as the payload of a block; none but a method where they are as expected."""
    if data == canonical:
        return bytes([2])
    packed = lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS)
    return bytes([1]) + packed if len(packed) < len(data) else bytes([0]) + data


def unpack_bytes(payload: bytes, most: int, canonical: bytes = b"") -> bytes:
    """Returns the bytes. Raises DataError where they are damaged, or more than `most`."""
    method, data = payload[:1], payload[1:]
    if method == b"\0":
        return data
    if method == b"\2":
        return canonical
    if method != b"\1":
        raise DataError("bytes are packed by an unknown method")
    unpack = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
    try:
        result = unpack.decompress(data, most + 1)
    except lzma.LZMAError as error:
        raise DataError(f"bytes are damaged: {error}") from error
    if len(result) > most:
        raise DataError(f"a block holds more than {most} bytes")
    return result


def _exactly(file: BinaryIO, count: int, what: str) -> bytes:
    # In pieces: a damaged length must not ask for memory that the file cannot fill.
    parts = []
    while count:
        part = file.read(min(count, 2**24))
        if not part:
            raise DataError(f"{what} is truncated: {count} bytes are missing")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
