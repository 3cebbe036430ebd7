"""What a file begins with: the format of its samples, which the end repeats.

`docs/reference/format.md` has it byte by byte.
"""

import dataclasses
import struct
import zlib
from typing import BinaryIO

from codec.fields import Fields, number, read_exactly
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError

MAGIC = b"wvst"
VERSION = 5
FINGERPRINT_BYTES = 8
PROBE_BYTES = 8
HASH_BYTES = 16
MAX_CHANNELS = 1024
MAX_SAMPLES = 2**26
"""Of a segment, all channels together: what a decoder must have room for."""
_SHORT_FINGERPRINT = 4  # In the END, which names the model a second time.
# One byte each in the format. More may be added at no other place than a new version of it.
_SAMPLE_RATES = (
    *(8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000),
    *(88200, 96000, 176400, 192000, 352800, 384000),
)
MOST_FORMAT = 64
"""Bytes of a format."""
_MOST_MADE_WITH = 24


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

    def span_of(self, segment: int) -> tuple[int, int]:
        """Returns the first frame of a segment, and the one after its last."""
        begin = segment * self.segment
        return begin, begin + self.frames_of(segment)


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
    place = file.tell()
    if not file.read(1):
        raise DataError("the file is empty")
    file.seek(place)
    start = read_exactly(file, len(MAGIC) + 2, "the header")
    if not start.startswith(MAGIC):
        raise DataError(f"not a .wvst file: it begins with {start[:4]!r}, expected {MAGIC!r}")
    if start[4] != VERSION:
        raise DataError(
            f"the format has version {start[4]}, this wavestream reads version {VERSION}: made by "
            "another wavestream, or damaged"
        )
    size = start[5]
    if size > MOST_FORMAT:
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
