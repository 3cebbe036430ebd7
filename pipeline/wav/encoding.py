"""How a WAV file stores its samples, which the RIFF chunk 'fmt ' describes.

The format is described in Microsoft's "Multiple Channel Audio Data and WAVE Files".
"""

import enum
import struct
from typing import Any, Self

from pipeline.wav.riff import WavError

U8_OFFSET = 128
"""What is added to an 8-bit sample, the only unsigned ones, to store it; the byte of silence."""

_MAX_CHANNELS = 1024  # as in libsndfile: more is damage; bounds the memory of a frame

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


class Encoding(enum.IntEnum):
    """How one sample is stored. All are little-endian; only 8-bit is unsigned."""

    U8 = 0, 1, 8, "8-bit unsigned"
    S16 = 1, 2, 16, "16-bit"
    S24 = 2, 3, 24, "24-bit"
    S32 = 3, 4, 32, "32-bit"
    F32 = 4, 4, 32, "32-bit float"
    F64 = 5, 8, 32, "64-bit float"

    bytes_per_sample: int
    depth: int
    """Bits of a decoded sample: 8, 16, 24 or 32; floats become 32-bit integers."""
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
        return self >= Encoding.F32


_INTEGER_ENCODINGS = {1: Encoding.U8, 2: Encoding.S16, 3: Encoding.S24, 4: Encoding.S32}
_FLOAT_ENCODINGS = {32: Encoding.F32, 64: Encoding.F64}


def parse_fmt(fmt: bytes) -> tuple[Encoding, int, int]:
    """Reads the 'fmt ' chunk of RIFF.

    Args:
      fmt: its first 40 bytes, or fewer if it is shorter.

    Returns:
      The encoding, the number of channels and the sample rate in Hz.

    Raises:
      WavError: it is truncated, contradicts itself, or declares an unsupported format.
    """
    if len(fmt) < 16:
        raise WavError(f"the 'fmt ' chunk is truncated: {len(fmt)} of 16 bytes")
    tag, channels, sample_rate, _, block_align, bits = struct.unpack("<HHIIHH", fmt[:16])
    if tag == _TAG_EXTENSIBLE:
        if len(fmt) < 40:
            raise WavError(
                f"the 'fmt ' chunk is truncated: WAVE_FORMAT_EXTENSIBLE needs 40 bytes, "
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
    if not 0 < sample_rate < 2**31:
        raise WavError(f"the header declares a sample rate of {sample_rate} Hz")
    return _encoding(tag, channels, block_align, bits), channels, sample_rate


def _encoding(tag: int, channels: int, block_align: int, bits: int) -> Encoding:
    """The encoding of a container; the standard left-justifies 12 or 20 bits in theirs."""
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
