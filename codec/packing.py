"""The bytes of a WAV's samples as integers, and back, bit for bit.

n frames, C channels.

Unlike `pipeline.wav.decode`, nothing is scaled, rounded or clipped: what cannot be told as integers
of at most 32 bits is not.
"""

import numpy as np

from pipeline.wav.encoding import U8_OFFSET, Encoding
from pipeline.wav.g711 import ALAW, MULAW

_FLOAT_BITS = (15, 23, 31)  # Full scale of integers that were written as floats.
NUM_VARIANTS = len(_FLOAT_BITS)


def unpack(payload: bytes, encoding: Encoding, channels: int) -> tuple[np.ndarray, int] | None:
    """Returns samples, int32 [n, C], and what `pack` needs to know; None: they are not integers."""
    for variant in range(len(_FLOAT_BITS) if encoding.is_float else 1):
        samples = _unpack(payload, encoding, variant)
        if samples is not None:
            frames = samples.reshape(-1, channels)
            if not encoding.is_float or pack(frames, encoding, variant) == payload:
                return frames, variant
    return None


def pack(frames: np.ndarray, encoding: Encoding, variant: int) -> bytes:
    """Returns the bytes that `unpack` was given."""
    samples = np.ascontiguousarray(frames, np.int32).ravel()
    order = ">" if encoding.is_big_endian else "<"
    size = encoding.bytes_per_sample
    if encoding.is_float:
        return (samples / 2.0 ** _FLOAT_BITS[variant]).astype(f"{order}f{size}").tobytes()
    if encoding in _ORDERS:
        return _ORDERS[encoding][samples + U8_OFFSET].tobytes()
    if encoding is Encoding.U8:
        return (samples + U8_OFFSET).astype(np.uint8).tobytes()
    four = samples.astype(f"{order}i4").view(np.uint8).reshape(-1, 4)
    return (four[:, 4 - size :] if order == ">" else four[:, :size]).tobytes()


def pack_variant(variant: int, encoding: Encoding) -> bytes:
    """Returns a variant as it is stored before the samples; nothing where there is only one."""
    return bytes([variant]) if encoding.is_float else b""


def depth_of(encoding: Encoding) -> int:
    """Returns the most bits that a sample of `unpack` has."""
    return 8 if encoding in _ORDERS else 8 * min(encoding.bytes_per_sample, 4)


def _unpack(payload: bytes, encoding: Encoding, variant: int) -> np.ndarray | None:  # int32
    order = ">" if encoding.is_big_endian else "<"
    size = encoding.bytes_per_sample
    if encoding.is_float:
        with np.errstate(invalid="ignore", over="ignore"):
            values = np.frombuffer(payload, f"{order}f{size}") * 2.0 ** _FLOAT_BITS[variant]
            is_integer = (values == np.rint(values)) & (np.abs(values) < 2**31)
        return values.astype(np.int32) if is_integer.all() else None
    data = np.frombuffer(payload, np.uint8)
    if encoding in _ORDERS:
        return (np.argsort(_ORDERS[encoding])[data] - U8_OFFSET).astype(np.int32)
    if encoding is Encoding.U8:
        return data.astype(np.int32) - U8_OFFSET
    wide = np.zeros((data.size // size, 4), np.uint8)
    if order == ">":
        wide[:, :size] = data.reshape(-1, size)
    else:
        wide[:, 4 - size :] = data.reshape(-1, size)
    return wide.view(f"{order}i4")[:, 0].astype(np.int32) >> 8 * (4 - size)


def _by_amplitude(table: np.ndarray) -> np.ndarray:  # uint8 [256]
    """Returns the codes of G.711 from the least to the greatest amplitude."""
    return np.argsort(table, kind="stable").astype(np.uint8)


_ORDERS = {
    Encoding.ALAW: _by_amplitude(ALAW),
    Encoding.MULAW: _by_amplitude(MULAW),
}
