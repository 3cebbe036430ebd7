"""The file: a header, blocks, an end. `docs/format.md` has it byte by byte.

A block is a stretch of the source's bytes: of frames, as integers that the model predicts, or of
anything else. Put one after the other, what they hold is the source.
"""

import dataclasses
import enum
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from codec.fields import Fields, number, read_exactly, read_number
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError

MAGIC = b"wvst"
VERSION = 3
FINGERPRINT_BYTES = 8
PROBE_BYTES = 8
HASH_BYTES = 16
MAX_CHANNELS = 1024
MAX_SAMPLES = 2**26
"""Of a segment, all channels together: what a decoder must have room for."""
MAX_BYTES = 2**20
"""Of the source in a block of BYTES."""
LEAST_BLOCK = 8
"""Bytes of a block at least."""
_SHORT_FINGERPRINT = 4  # In the END, which names the model a second time.
# One byte each in the format. More may be added at no other place than a new version of it.
_SAMPLE_RATES = (
    *(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000),
    *(88200, 96000, 176400, 192000, 352800, 384000),
)
_MOST_FORMAT = 64
_MOST_MADE_WITH = 24


class Kind(enum.IntEnum):
    """What a block holds."""

    END = 0  # The hash of the source, and the format once more.
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
      has_plain_header: whether what is before the frames is `codec.canonical`'s header.
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
    has_plain_header: bool = False
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
      segment: its number among the segments; of BYTES: 0 before the frames, 1 behind them.
      payload: what it holds, checked.
      offset: where it begins in the file.
    """

    kind: Kind
    segment: int
    payload: bytes
    offset: int


def round_segment(frames: int) -> int:
    """Returns the longest segment of at most so many frames that one byte of the format can tell.

    It has four significant bits: a power of two, or it and some eighths more.
    """
    exponent = _segment_exponent(frames)
    return frames >> exponent << exponent


def _segment_exponent(frames: int) -> int:
    return max(0, frames.bit_length() - 4)


def header(format_: Format | None) -> bytes:
    """Returns the beginning of a file; without a format it has no frames."""
    fields = b"" if format_ is None else _pack_format(format_)
    data = MAGIC + bytes([VERSION, len(fields)]) + fields
    return data + struct.pack("<I", zlib.crc32(data))


def end_payload(digest: bytes, format_: Format | None) -> bytes:
    """Returns the payload of END: hash and, for files whose header is damaged, the format."""
    return digest + (b"" if format_ is None else _pack_format(format_, in_end=True))


def read_end(payload: bytes) -> tuple[bytes, Format | None]:
    """Returns hash and format, of whose fingerprint the beginning is there. Raises DataError."""
    digest, fields = payload[:HASH_BYTES], payload[HASH_BYTES:]
    if len(digest) < HASH_BYTES:
        raise DataError("the end holds no hash")
    return digest, _parse_format(fields, _SHORT_FINGERPRINT) if fields else None


def read_header(file: BinaryIO) -> Format | None:
    """Reads the beginning of a file. Raises DataError where it is damaged or of another kind."""
    start = read_exactly(file, len(MAGIC) + 2, "the header")
    if not start.startswith(MAGIC):
        raise DataError(f"not a .wvst file: it begins with {start[:4]!r}, expected {MAGIC!r}")
    if start[4] != VERSION:
        raise DataError(
            f"the format has version {start[4]}, this wavestream reads version {VERSION}"
        )
    size = start[5]
    if size > _MOST_FORMAT:
        raise DataError("the header is damaged")
    rest = read_exactly(file, size + 4, "the header")
    if struct.pack("<I", zlib.crc32(start + rest[:size])) != rest[size:]:
        raise DataError("the header is damaged")
    return _parse_format(rest[:size], FINGERPRINT_BYTES) if size else None


def _pack_format(format_: Format, in_end: bool = False) -> bytes:
    kind = format_.channels - 1 << 5 | format_.has_plain_header << 4 | format_.encoding
    rate = format_.sample_rate
    if rate in _SAMPLE_RATES:
        rate = _SAMPLE_RATES.index(rate)
    else:
        rate += len(_SAMPLE_RATES)
    exponent = _segment_exponent(format_.segment)
    if (segment := format_.segment) != round_segment(segment):
        raise ValueError(f"a segment of {segment} frames, expected one of round_segment()")
    fields = format_.fingerprint[: _SHORT_FINGERPRINT if in_end else FINGERPRINT_BYTES]
    fields += b"".join(map(number, (kind, rate, format_.frames)))
    fields += bytes([8 * exponent + (segment >> exponent)]) + format_.probe
    if format_.probe and not in_end:
        fields += format_.made_with.encode("ascii", "replace")[:_MOST_MADE_WITH]
    return fields


def _parse_format(data: bytes, fingerprint_bytes: int) -> Format:
    fields = Fields(data)
    fingerprint = fields.take(fingerprint_bytes)
    kind, rate, frames = (fields.number() for _ in range(3))
    encoding, channels = kind & 15, (kind >> 5) + 1
    common = rate < len(_SAMPLE_RATES)
    sample_rate = _SAMPLE_RATES[rate] if common else rate - len(_SAMPLE_RATES)
    code = fields.take(1)[0]
    segment = code if code < 16 else 8 + code % 8 << code // 8 - 1
    if (
        encoding not in list(Encoding)
        or channels > MAX_CHANNELS
        or not 0 < sample_rate < 2**31
        or frames >= 2**62
        or not 0 < segment * channels <= MAX_SAMPLES
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
        has_plain_header=bool(kind & 16),
        probe=probe,
        made_with=fields.rest().decode("ascii", "replace"),
    )


def block(kind: Kind, segment: int, payload: bytes) -> bytes:
    """Returns a block as bytes: length, kind and segment, a check of these; CRC; payload."""
    head = number(len(payload) << 2 | kind) + (number(segment) if kind else b"")
    check = zlib.crc32(payload, zlib.crc32(head))
    return head + bytes([zlib.crc32(head) & 255]) + struct.pack("<I", check) + payload


def most_payload(kind: Kind, format_: Format | None) -> int:
    """Returns how many bytes the payload of a block may have."""
    if kind in (Kind.END, Kind.BYTES):
        return MAX_BYTES + 1 if kind is Kind.BYTES else HASH_BYTES + _MOST_FORMAT
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
    check = read_exactly(file, 4, "a block")
    payload = read_exactly(file, head.size, "a block")
    if struct.pack("<I", zlib.crc32(payload, head.crc)) != check:
        raise DataError(f"the block at byte {offset} is damaged")
    return Block(head.kind, head.segment, payload, offset)


def skim_blocks(file: BinaryIO, format_: Format | None = None) -> Iterator[Block]:
    """Yields the blocks to the END by their heads, with empty payloads but for the END's.

    After each, `file` is behind it. Raises DataError as `read_block`.
    """
    kind = None
    while kind is not Kind.END:
        offset = file.tell()
        head = _read_bounded_head(file, format_)
        kind = head.kind
        if kind is Kind.END:
            file.seek(offset)
            yield read_block(file, format_)
        else:
            file.seek(4 + head.size, 1)
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
