"""The header that most WAVs have: 44 bytes that follow from what is known of the samples."""

import struct

from codec.header import Format
from pipeline.wav.encoding import Encoding

_PCM = (Encoding.U8, Encoding.S16, Encoding.S24, Encoding.S32)
_TAGS = {Encoding.ALAW: 6, Encoding.MULAW: 7}


def canonical_header(format_: Format) -> bytes:
    """Returns the header of a WAV that holds only these frames; empty where there is none."""
    if format_.encoding not in _PCM or format_.frames * format_.frame_bytes + 37 > 2**32:
        return b""
    return wav_header(format_, format_.encoding, format_.frames)


def wav_header(format_: Format, encoding: Encoding, frames: int) -> bytes:
    """Returns the header of a WAV of so many frames; of too many, one without sizes."""
    size = frames * format_.frame_bytes
    tag = _TAGS.get(encoding, 3 if encoding.is_float else 1)
    bits = 8 * encoding.bytes_per_sample
    order, name = (">", b"RIFX") if encoding.is_big_endian else ("<", b"RIFF")
    all_, size = (36 + size + (size & 1), size) if size + 37 < 2**32 else (2**32 - 1, 2**32 - 1)
    rate = format_.sample_rate
    return struct.pack(
        f"{order}4sI4s4sIHHIIHH4sI",
        *(name, all_, b"WAVE", b"fmt ", 16, tag, format_.channels, rate),
        *((rate * format_.frame_bytes) % 2**32, format_.frame_bytes % 2**16, bits, b"data", size),
    )
