"""What channels have in common before any model: unused low bits and values, equal channels.

n frames, C channels, V values.
"""

import numpy as np

from codec.fields import Fields, number, signed
from codec.plain_bytes import pack_bytes, unpack_bytes
from runtime.errors import DataError

_MOST_VALUES = 2**16


def sparse_values(frames: np.ndarray) -> np.ndarray | None:  # int32 [V]
    """Returns the values that occur, if fewer than half of those between them do.

    As where 8 bits were stretched to 16, or a file was made louder after it was quantized.
    """
    if not frames.size:
        return None
    low, high = int(frames.min()), int(frames.max())
    if high - low < 4 or high - low > 2**24:
        return None
    counts = np.bincount((frames.ravel().astype(np.int64) - low), minlength=high - low + 1)
    used = np.flatnonzero(counts)
    # Of a short or a wide signal it is chance that values are missing.
    is_sparse = 2 * len(used) < high - low and len(used) <= min(_MOST_VALUES, frames.size // 64)
    return (used + low).astype(np.int32) if is_sparse else None


def pack_values(values: np.ndarray) -> bytes:  # int32 [V]
    """Returns values as bytes."""
    distances = np.diff(values.astype(np.int64)) - 1
    plain = signed(int(values[0])) + b"".join(number(int(x)) for x in distances)
    packed = pack_bytes(plain)
    return number(len(packed)) + packed


def unpack_values(fields: Fields) -> np.ndarray:  # int32 [V]
    """Returns the values. Raises DataError."""
    inner = Fields(unpack_bytes(fields.take(fields.number()), 4 * _MOST_VALUES))
    values = [inner.signed()]
    while inner.left:
        values.append(values[-1] + inner.number() + 1)
    if not -(2**31) <= values[0] <= values[-1] < 2**31:
        raise DataError("a value has more than 32 bits")
    return np.array(values, np.int32)


def channel_kinds(frames: np.ndarray) -> tuple[list[bytes], list[int]]:
    """Returns how each channel is told, empty where it is coded; and those that are coded."""
    kinds: list[bytes] = []
    coded: list[int] = []
    for channel in range(frames.shape[1]):
        own = frames[:, channel]
        twin = next((k for k in coded if np.array_equal(frames[:, k], own)), None)
        if not own.size or (own == own[0]).all():
            kinds.append(number(1) + signed(int(own[0]) if own.size else 0))
        elif twin is not None:
            kinds.append(number(2) + number(twin))
        else:
            kinds.append(b"")
            coded.append(channel)
    return kinds, coded


def read_kinds(fields: Fields, samples: np.ndarray) -> tuple[list[int], list[tuple[int, int]]]:
    """Fills in constant channels; returns those that are coded, and (channel, its twin)."""
    coded: list[int] = []
    copies = []
    for channel in range(len(samples)):
        kind = fields.number()
        if kind == 0:
            coded.append(channel)
        elif kind == 1:
            value = fields.signed()
            if not -(2**31) <= value < 2**31:
                raise DataError("a value has more than 32 bits")
            samples[channel] = value
        elif kind == 2:
            twin = fields.number()
            if twin not in coded:
                raise DataError(f"channel {channel} is as {twin}, which is not coded before it")
            copies.append((channel, twin))
        else:
            raise DataError(f"channel {channel} is of kind {kind}, expected 0, 1 or 2")
    return coded, copies
