"""How a WAV file stores its samples, which the RIFF chunk 'fmt ' describes.

The format is described in Microsoft's "Multiple Channel Audio Data and WAVE Files".
"""

import enum
import struct
from typing import Any, Self

from pipeline.wav.riff import ByteOrder, WavError
from runtime.formatting import format_number

U8_OFFSET = 128
"""What is added to an 8-bit sample, the only unsigned ones, to store it; the byte of silence."""

_MAX_CHANNELS = 1024  # as in libsndfile: more is damage; bounds the memory of a frame

_TAG_PCM = 0x0001
_TAG_FLOAT = 0x0003
_TAG_ALAW = 0x0006
_TAG_MULAW = 0x0007
_TAG_EXTENSIBLE = 0xFFFE
# A subformat GUID is a format tag followed by one of these: the usual one, and Ambisonic B-format.
_GUID_TAILS = (
    (0x0000, 0x0010, bytes.fromhex("800000aa00389b71")),
    (0x0721, 0x11D3, bytes.fromhex("8644c8c1ca000000")),
)

_UNSUPPORTED_TAGS = {
    0x0002: "Microsoft ADPCM",
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
ADVICE = "; convert it to PCM, e.g. with ffmpeg -c:a pcm_s16le"
"""How some reasons end for which a file is skipped."""


class Encoding(enum.IntEnum):
    """How one sample is stored. Only 8-bit is unsigned; `*_BE` are big-endian, as in RIFX."""

    U8 = 0, 1, 8, "8-bit unsigned"
    S16 = 1, 2, 16, "16-bit"
    S24 = 2, 3, 24, "24-bit"
    S32 = 3, 4, 32, "32-bit"
    F32 = 4, 4, 32, "32-bit float"
    F64 = 5, 8, 32, "64-bit float"
    S16_BE = 6, 2, 16, "16-bit big-endian"
    S24_BE = 7, 3, 24, "24-bit big-endian"
    S32_BE = 8, 4, 32, "32-bit big-endian"
    F32_BE = 9, 4, 32, "32-bit float big-endian"
    F64_BE = 10, 8, 32, "64-bit float big-endian"
    ALAW = 11, 1, 16, "A-law"
    MULAW = 12, 1, 16, "mu-law"

    bytes_per_sample: int
    depth: int
    """Bits of a decoded sample: 8, 16, 24 or 32. Floats become 32-bit integers, G.711 16-bit."""
    label: str
    """A human-readable name."""

    def __new__(cls, value: int, *properties: Any) -> Self:
        self = int.__new__(cls, value)
        self._value_ = value  # Else it would be the whole row.
        self.bytes_per_sample, self.depth, self.label = properties
        return self

    @property
    def is_float(self) -> bool:
        """Whether samples are floating-point numbers, of full scale 1."""
        return self.name.startswith("F")

    @property
    def is_big_endian(self) -> bool:
        """Whether the most significant byte of a sample comes first."""
        return self.name.endswith("_BE")


_ENCODINGS = {  # of a format tag and bytes per sample
    (_TAG_PCM, 1): Encoding.U8,
    (_TAG_PCM, 2): Encoding.S16,
    (_TAG_PCM, 3): Encoding.S24,
    (_TAG_PCM, 4): Encoding.S32,
    (_TAG_FLOAT, 4): Encoding.F32,
    (_TAG_FLOAT, 8): Encoding.F64,
    (_TAG_ALAW, 1): Encoding.ALAW,
    (_TAG_MULAW, 1): Encoding.MULAW,
}


def parse_fmt(fmt: bytes, byte_order: ByteOrder = "<") -> tuple[Encoding, int, int]:
    """Reads the 'fmt ' chunk of RIFF.

    Args:
      fmt: its first 40 bytes, or fewer if it is shorter.
      byte_order: of its numbers and of the samples.

    Returns:
      The encoding, the number of channels and the sample rate in Hz.

    Raises:
      WavError: it is truncated, contradicts itself, or declares an unsupported format.
    """
    if len(fmt) < 16:
        raise WavError(f"the 'fmt ' chunk is truncated: {len(fmt)} of 16 bytes")
    fields = struct.unpack(f"{byte_order}HHIIHH", fmt[:16])
    tag, channels, sample_rate, _, block_align, bits = fields
    if tag == _TAG_EXTENSIBLE:
        if len(fmt) < 40:
            raise WavError(
                f"the 'fmt ' chunk is truncated: WAVE_FORMAT_EXTENSIBLE needs 40 bytes, "
                f"{len(fmt)} are there"
            )
        tag, *tail = struct.unpack(f"{byte_order}IHH8s", fmt[24:40])
        if tuple(tail) not in _GUID_TAILS or tag > 0xFFFF:
            raise WavError(f"the subformat {fmt[24:40].hex()} is not supported{ADVICE}")
    if tag not in (_TAG_PCM, _TAG_FLOAT, _TAG_ALAW, _TAG_MULAW):
        name = _UNSUPPORTED_TAGS.get(tag, "this encoding")
        raise WavError(f"{name} (format tag 0x{tag:04X}) is not supported{ADVICE}")
    if channels == 0:
        raise WavError("the header declares 0 channels")
    if channels > _MAX_CHANNELS:
        raise WavError(f"the header declares {channels} channels, expected at most {_MAX_CHANNELS}")
    if not 0 < sample_rate < 2**31:
        raise WavError(f"the header declares a sample rate of {sample_rate} Hz")
    encoding = _encoding(tag, channels, block_align, bits)
    if byte_order == ">" and encoding.bytes_per_sample > 1:
        encoding = Encoding[f"{encoding.name}_BE"]
    return encoding, channels, sample_rate


def _encoding(tag: int, channels: int, block_align: int, bits: int) -> Encoding:
    """The encoding of a container; the standard left-justifies 12 or 20 bits in theirs."""
    # Floats and G.711 have no shorter samples in longer containers.
    is_whole = tag == _TAG_PCM or bits % 8 == 0
    encoding = _ENCODINGS.get((tag, (bits + 7) // 8)) if is_whole else None
    if encoding is None:
        kind = {_TAG_PCM: "integer", _TAG_FLOAT: "float"}.get(tag, "G.711")
        raise WavError(f"{bits}-bit {kind} samples are not supported{ADVICE}")
    expected = channels * encoding.bytes_per_sample
    if block_align == expected:
        return encoding
    if (tag, bits, block_align) == (_TAG_PCM, 24, 4 * channels):
        raise WavError(
            "24-bit samples in 4 bytes each: the header does not say which 3 of the 4 bytes count; "
            "convert it, e.g. with ffmpeg -c:a pcm_s24le"
        )
    raise WavError(
        f"the header contradicts itself: {format_number(channels, 'channel')} of {bits} bits make "
        f"frames of {format_number(expected, 'byte')}, but it declares {block_align}"
    )
