"""The header that most WAVs have: 44 bytes that follow from what is known of the samples."""

import struct

from codec.container import Format
from pipeline.wav.encoding import Encoding

_PCM = (Encoding.U8, Encoding.S16, Encoding.S24, Encoding.S32)
_TAGS = {Encoding.ALAW: 6, Encoding.MULAW: 7}


def canonical_header(format_: Format) -> bytes:
    """Returns the header of a WAV that holds only these frames; empty where there is none."""
    if format_.encoding not in _PCM or format_.frames * format_.frame_bytes + 37 > 2**32:
        return b""
    return wav_header(format_, format_.encoding, format_.frames)


def wav_header(format_: Format, encoding: Encoding, frames: int) -> bytes:
    """Returns the header of a WAV of so many frames; `encoding` is little-endian."""
    size = frames * format_.frame_bytes
    tag = _TAGS.get(encoding, 3 if encoding.is_float else 1)
    bits = 8 * encoding.bytes_per_sample
    rate = format_.sample_rate
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + size + (size & 1), b"WAVE", b"fmt ", 16, tag, format_.channels, rate),
        *((rate * format_.frame_bytes) % 2**32, format_.frame_bytes % 2**16, bits, b"data", size),
    )
