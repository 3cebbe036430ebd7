"""The bytes of a WAV's samples as amplitudes, for Python and for other codecs.

N samples, interleaved.
"""

import numpy as np

from codec import packing
from pipeline.wav.encoding import Encoding
from pipeline.wav.g711 import ALAW, MULAW

DTYPES = ("float64", "float32", "int32", "int16")
"""In which `soundfile` reads samples."""
SUBTYPES = {
    Encoding.U8: "PCM_U8",
    Encoding.S16: "PCM_16",
    Encoding.S24: "PCM_24",
    Encoding.S32: "PCM_32",
    Encoding.F32: "FLOAT",
    Encoding.F64: "DOUBLE",
    Encoding.ALAW: "ALAW",
    Encoding.MULAW: "ULAW",
}
"""What `soundfile` calls encodings; of the big-endian ones those of the same name."""
_TABLES = {Encoding.ALAW: ALAW, Encoding.MULAW: MULAW}


def subtype_of(encoding: Encoding) -> str:
    """Returns what `soundfile` calls an encoding, of either byte order."""
    return SUBTYPES[Encoding[encoding.name.removesuffix("_BE")]]


def integers(payload: bytes, encoding: Encoding) -> np.ndarray:  # int32 [N]
    """Returns samples of `encoding.depth` bits. Raises ValueError for floats."""
    if encoding.is_float:
        raise ValueError(f"samples are stored as {encoding.label}s, which are no integers")
    if encoding in _TABLES:
        return _TABLES[encoding][np.frombuffer(payload, np.uint8)]
    found = packing.unpack(payload, encoding, 1)
    assert found is not None  # All integers can be unpacked.
    return found[0][:, 0]


def floats(payload: bytes, encoding: Encoding) -> np.ndarray:  # float64 [N], of full scale 1
    """Returns samples as floats: exactly, whatever their encoding."""
    if encoding.is_float:
        order = ">" if encoding.is_big_endian else "<"
        return np.frombuffer(payload, f"{order}f{encoding.bytes_per_sample}").astype(np.float64)
    return integers(payload, encoding) / 2.0 ** (encoding.depth - 1)


def as_dtype(payload: bytes, encoding: Encoding, dtype: str) -> np.ndarray:  # [N]
    """Returns samples as `soundfile` does, of one of DTYPES; integers are of the type's full scale.

    Raises ValueError for integers of floats.
    """
    if dtype.startswith("float"):
        return floats(payload, encoding).astype(dtype)
    wide = integers(payload, encoding) << 32 - encoding.depth
    return wide if dtype == "int32" else (wide >> 16).astype(np.int16)


def little_endian(payload: bytes, encoding: Encoding) -> tuple[bytes, Encoding]:
    """Returns the same samples as RIFF stores them, and how that is called."""
    if not encoding.is_big_endian:
        return payload, encoding
    size = encoding.bytes_per_sample
    swapped = np.frombuffer(payload, np.uint8).reshape(-1, size)[:, ::-1].tobytes()
    return swapped, Encoding[encoding.name.removesuffix("_BE")]
