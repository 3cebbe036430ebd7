"""Where the samples of a WAV file lie, read from its header alone.

A PCM payload is a random-access record file: once `read_header` has told its offset, encoding and
number of channels, frame i lies at a known byte. The formats are described in Microsoft's
"Multiple Channel Audio Data and WAVE Files", EBU Tech 3306 (RF64) and ITU-R BS.2088 (BW64).
"""

import dataclasses
import enum
import struct
from collections.abc import Callable
from typing import NamedTuple

ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there; fewer than `size` only at the end of the file."""

_BLOCK_BYTES = 4096  # what one read fetches: enough for the whole header of nearly every file
_MAX_CHUNKS = 1000  # real files have a handful; the cap bounds the work on a hostile one
_MAX_CHANNELS = 1024  # as libsndfile: more is damage, and bounds the memory that a frame takes
_UNKNOWN_SIZE = 0xFFFFFFFF  # written by programs that stream, and by RF64 to point to 'ds64'

_TAG_PCM = 0x0001
_TAG_FLOAT = 0x0003
_TAG_EXTENSIBLE = 0xFFFE
# A subformat GUID is a format tag followed by one of these: the usual one, and Ambisonic B-format.
_GUID_TAILS = (
    bytes.fromhex("000000001000800000aa00389b71"),
    bytes.fromhex("00002107d3118644c8c1ca000000"),
)

_UNSUPPORTED_TAGS = {
    0x0002: "Microsoft ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0010: "OKI ADPCM",
    0x0011: "IMA ADPCM",
    0x0014: "G.723 ADPCM",
    0x0017: "Dialogic ADPCM",
    0x0020: "Yamaha ADPCM",
    0x0022: "TrueSpeech",
    0x0031: "GSM 6.10",
    0x0040: "G.721 ADPCM",
    0x0045: "G.726 ADPCM",
    0x0050: "MPEG audio",
    0x0055: "MP3",
    0x0092: "AC-3 over S/PDIF",
    0x00FF: "AAC",
    0x0161: "Windows Media Audio",
    0x2000: "AC-3",
    0x2001: "DTS",
    0xF1AC: "FLAC",
}
_ADVICE = "; convert it to PCM, e.g. with ffmpeg -c:a pcm_s16le"

_FOREIGN_BEGINNINGS = (
    (b"RIFX", "a big-endian WAV (RIFX)"),
    (b"FFIR", "a big-endian WAV (FFIR)"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a Core Audio (CAF) file"),
    (b"riff", "a Sony Wave64 file"),
    (b".snd", "a Sun/NeXT audio file"),
    (b"NIST", "a NIST SPHERE file"),
    (b"fLaC", "a FLAC file"),
    (b"OggS", "an Ogg file"),
    (b"wvpk", "a WavPack file"),
    (b"MAC ", "a Monkey's Audio file"),
    (b"ID3", "an MP3 file"),
    *((bytes([0xFF, second]), "an MP3 file") for second in b"\xe2\xe3\xf2\xf3\xfa\xfb"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM file"),
    (b"\x00\x05\x16\x07", "a macOS AppleDouble file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"version https://git-lfs", "a git-lfs pointer (run 'git lfs pull')"),
    (b"<", "an HTML or XML page"),
    (b"{", "a JSON text"),
)

_KNOWN_CHUNKS = frozenset(
    b"fmt |data|fact|LIST|JUNK|junk|bext|ds64|cue |smpl|inst|PEAK|PAD |FLLR|iXML|axml|chna|id3 |"
    b"ID3 |afsp|cart|levl|link|plst|wavl|slnt|acid|strc|_PMX|minf|elm1|regn|umid|DGDA|LGWV".split(
        b"|"
    )
)


class WavError(ValueError):
    """Why a file cannot be used, in words, without its path."""


class Encoding(enum.IntEnum):
    """How one sample is stored. All are little-endian; only 8-bit is unsigned."""

    U8 = 0
    S16 = 1
    S24 = 2
    S32 = 3
    F32 = 4
    F64 = 5

    @property
    def bytes_per_sample(self) -> int:
        """Bytes of one sample."""
        return (1, 2, 3, 4, 4, 8)[self]

    @property
    def is_float(self) -> bool:
        """Whether samples are floating-point numbers, of full scale 1."""
        return self >= Encoding.F32

    @property
    def label(self) -> str:
        """A name for people."""
        return (
            "8-bit unsigned",
            "16-bit",
            "24-bit",
            "32-bit",
            "32-bit float",
            "64-bit float",
        )[self]


_INTEGER_ENCODINGS = {1: Encoding.U8, 2: Encoding.S16, 3: Encoding.S24, 4: Encoding.S32}
_FLOAT_ENCODINGS = {32: Encoding.F32, 64: Encoding.F64}


@dataclasses.dataclass(frozen=True, kw_only=True)
class WavHeader:
    """What is needed to read the samples: they are `frames * frame_bytes` contiguous bytes.

    Attributes:
      encoding: how a sample is stored.
      channels: samples in a frame, interleaved.
      rate: frames a second.
      payload_offset: where the first frame begins, in bytes from the beginning of the file.
      frames: whole frames that are in the file.
      note: what is wrong with the file although it can be used, such as a payload that is cut
        off; empty when all is well.
    """

    encoding: Encoding
    channels: int
    rate: int
    payload_offset: int
    frames: int
    note: str = ""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.channels * self.encoding.bytes_per_sample


def read_header(read_at: ReadAt, file_size: int) -> WavHeader:
    """Walks over the chunks of a WAV file (RIFF, RF64 or BW64) until its payload is known.

    Args:
      read_at: reads bytes of the file; called once for most files.
      file_size: bytes in the file.

    Raises:
      WavError: the file is not a WAV, is damaged, or holds an encoding that is not supported.
    """
    read = _buffered(read_at, file_size)
    riff_size = _check_beginning(read(0, 24), file_size)
    chunks = _walk(read, riff_size)
    if chunks.fmt is None:
        raise WavError("there is no 'fmt ' chunk: the header is damaged or cut short")
    encoding, channels, rate = _parse_fmt(chunks.fmt)
    if chunks.data is None:
        raise WavError("there is no 'data' chunk: the file is cut short or holds no samples")

    offset, declared = chunks.data
    available = max(file_size - offset, 0)
    excess = file_size - 8 - chunks.riff_size
    note = ""
    if declared == 0 and 8 + chunks.riff_size <= offset and chunks.fmt_is_first:
        declared = available
        note = "the recording was not completed: the header gives no sizes"
    elif excess > 0 and excess % 2**32 == 0:
        declared += excess
        note = "larger than the sizes in its header can say: they are taken modulo 4 GiB"
    elif available < declared != _UNKNOWN_SIZE:
        note = f"cut off: {available} of {declared} bytes of samples are there"
    frames = min(declared, available) // (channels * encoding.bytes_per_sample)
    if frames == 0:
        raise WavError("it holds no audio (0 frames)")
    return WavHeader(
        encoding=encoding,
        channels=channels,
        rate=rate,
        payload_offset=offset,
        frames=frames,
        note=note,
    )


class _Chunks(NamedTuple):
    """What counts: up to 40 bytes of 'fmt ', offset and declared size of 'data', RIFF size."""

    fmt: bytes | None
    data: tuple[int, int] | None
    riff_size: int
    fmt_is_first: bool


def _walk(read: ReadAt, riff_size: int) -> _Chunks:
    """Visits chunks until 'fmt ' and 'data' were seen, in whichever order, or the file ends."""
    fmt: bytes | None = None
    data: tuple[int, int] | None = None
    data_size_64: int | None = None  # of RF64 and BW64
    fmt_is_first = False
    position = 12
    for _ in range(_MAX_CHUNKS):
        header = read(position, 8)
        if len(header) < 8 or (fmt is not None and data):
            return _Chunks(fmt, data, riff_size, fmt_is_first)
        chunk_id, size = struct.unpack("<4sI", header)
        body = position + 8
        if chunk_id == b"ds64":
            sizes = read(body, min(size, 16))
            if len(sizes) < 16:
                raise WavError(f"the 'ds64' chunk is cut short: {len(sizes)} of 16 bytes")
            riff_size, data_size_64 = struct.unpack("<QQ", sizes)
        elif chunk_id == b"fmt " and fmt is None:
            fmt = read(body, min(size, 40))
            fmt_is_first = data is None
        elif chunk_id == b"data" and data is None:
            if size == _UNKNOWN_SIZE and data_size_64 is not None:
                size = data_size_64
            data = body, size
        position = _next_chunk(read, body + size) if size % 2 else body + size
    raise WavError(f"there are no samples behind its first {_MAX_CHUNKS} chunks")


def _buffered(read_at: ReadAt, file_size: int) -> ReadAt:
    """Serves small reads from the last block fetched, so that a header costs one read.

    What lies beyond the end of the file is not asked for: declared sizes lead anywhere.
    """
    start, block = 0, b""

    def read(offset: int, size: int) -> bytes:
        nonlocal start, block
        size = max(min(size, file_size - offset), 0)
        if size and not start <= offset <= offset + size <= start + len(block):
            start, block = offset, read_at(offset, min(_BLOCK_BYTES, file_size - offset))
        return block[offset - start : offset - start + size] if size else b""

    return read


def _check_beginning(head: bytes, file_size: int) -> int:
    """Returns the size that the RIFF header declares."""
    if file_size == 0:
        raise WavError("the file is empty")
    for beginning, description in _FOREIGN_BEGINNINGS:
        if head.lstrip().startswith(beginning):
            raise WavError(f"it is {description}, not a WAV")
    if not any(head):
        raise WavError("it begins with zeros: the recording or download was never completed")
    if head[:4] not in (b"RIFF", b"RF64", b"BW64"):
        raise WavError(f"it is not a WAV: it begins with {head[:4]!r} in place of b'RIFF'")
    if len(head) < 12:
        raise WavError(f"the header is cut short: the file has only {file_size} bytes")
    if head[8:12] != b"WAVE":
        raise WavError(f"it is a RIFF file of type {head[8:12]!r}, not b'WAVE'")
    return int.from_bytes(head[4:8], "little")


def _next_chunk(read: ReadAt, end: int) -> int:
    """The position of the chunk after one of odd size, which ends at `end`.

    A pad byte belongs there, but some programs leave it out.
    """
    peek = read(end, 5)
    padded = peek[1:5] in _KNOWN_CHUNKS or peek[:4] not in _KNOWN_CHUNKS
    return end + padded


def _parse_fmt(fmt: bytes) -> tuple[Encoding, int, int]:
    """Encoding, channels and rate from the first 40 bytes, or fewer, of the 'fmt ' chunk."""
    if len(fmt) < 16:
        raise WavError(f"the 'fmt ' chunk is cut short: {len(fmt)} of 16 bytes")
    tag, channels, rate, _, block_align, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag == _TAG_EXTENSIBLE:
        if len(fmt) < 40:
            raise WavError(
                f"the 'fmt ' chunk is cut short: WAVE_FORMAT_EXTENSIBLE needs 40 bytes, "
                f"{len(fmt)} are there"
            )
        if fmt[26:40] not in _GUID_TAILS:
            raise WavError(f"the subformat {fmt[24:40].hex()} is not supported{_ADVICE}")
        tag = int.from_bytes(fmt[24:26], "little")
    if tag not in (_TAG_PCM, _TAG_FLOAT):
        name = _UNSUPPORTED_TAGS.get(tag, "this encoding")
        raise WavError(f"{name} (format tag 0x{tag:04X}) is not supported{_ADVICE}")
    if channels == 0:
        raise WavError("the header declares 0 channels")
    if channels > _MAX_CHANNELS:
        raise WavError(f"the header declares {channels} channels, expected at most {_MAX_CHANNELS}")
    if not 0 < rate < 2**31:
        raise WavError(f"the header declares a sample rate of {rate} Hz")
    return _encoding(tag, channels, block_align, bits), channels, rate


def _encoding(tag: int, channels: int, block_align: int, bits: int) -> Encoding:
    """The encoding of a container; 12 or 20 bits are left-justified in theirs by the standard."""
    if tag == _TAG_FLOAT:
        encoding = _FLOAT_ENCODINGS.get(bits)
    else:
        encoding = _INTEGER_ENCODINGS.get((bits + 7) // 8)
    if encoding is None:
        kind = "float" if tag == _TAG_FLOAT else "integer"
        raise WavError(f"{bits}-bit {kind} samples are not supported{_ADVICE}")
    expected = channels * encoding.bytes_per_sample
    if block_align == expected:
        return encoding
    if (tag, bits, block_align) == (_TAG_PCM, 24, 4 * channels):
        raise WavError(
            "24-bit samples in 4 bytes each: the header does not say which 3 of the 4 bytes count; "
            "convert it, e.g. with ffmpeg -c:a pcm_s24le"
        )
    raise WavError(
        f"the header contradicts itself: {channels} channels of {bits} bits make frames of "
        f"{expected} bytes, but it declares {block_align}"
    )
