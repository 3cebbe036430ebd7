"""A range coder of integer frequencies (Martin 1979), a byte at a time.

The interval [low, low + range) of 64-bit numbers is narrowed to the share of each sample. Totals of
about 2^44 leave 12 bits of precision in the worst case, 2^56 // 2^44: less than 10^-4 bits a sample
are lost. A carry goes back into the bytes that were written.
"""

from typing import Any

import numpy as np

from models.predictors.compile import jit

CODER = np.dtype(
    [("low", np.uint64), ("range", np.uint64), ("position", np.int64)],
    align=True,
)
"""low (of a decoder: the code less low); range; bytes that were written or read."""

_EIGHT, _TOP_SHIFT = np.uint64(8), np.uint64(56)
_LEAST_RANGE = np.uint64(2**56)
_ALL = np.uint64(2**64 - 1)
SLACK = 16
"""Bytes that `encode` and `finish` may write at most."""

MOST_BYTES = 6
"""That `encode` writes, and `consume` reads: the range is 2^8 at least, until it is 2^56 again."""
FIRST_BYTES = 8
"""That `start_decoder` reads."""


def init_encoder() -> np.ndarray:  # [1]
    """Returns the state before the first sample."""
    return np.array([(0, 2**64 - 1, 0)], CODER)


def encode_shares(
    below: np.ndarray,  # int64 [n]
    frequencies: np.ndarray,  # int64 [n]
    total: int,
    starts: np.ndarray,  # int64 [S]
) -> tuple[bytes, np.ndarray]:
    """Returns the code of n samples, given their shares, and positions, int64 [S].

    Args:
      below: the sum of the frequencies of lesser samples.
      frequencies: the sample's own; positive.
      total: of all samples; at most 2^48.
      starts: samples, 0 first, before which a decoder's position is asked for: bytes that it has
        read.
    """
    coder = init_encoder()
    # Room for the worst, of which no more becomes memory than is written.
    data = np.empty(MOST_BYTES * below.size + SLACK, np.uint8)
    positions = np.empty(starts.size, np.int64)
    _encode_all(coder[0], data, below, frequencies, total, starts, positions)
    return data[: coder[0]["position"]].tobytes(), positions


@jit
def _encode_all(
    coder: Any,
    data: np.ndarray,
    below: np.ndarray,
    frequencies: np.ndarray,
    total: int,
    starts: np.ndarray,
    positions: np.ndarray,
) -> None:
    for k in range(starts.size):
        positions[k] = coder.position + FIRST_BYTES
        end = starts[k + 1] if k + 1 < starts.size else below.size
        for t in range(starts[k], end):
            encode(coder, data, below[t], frequencies[t], total)
    finish(coder, data)


@jit
def encode(coder: Any, data: np.ndarray, below: int, frequency: int, total: int) -> None:
    """Narrows the interval to [below, below + frequency) of `total`.

    Args:
      coder: the state.
      data: uint8, with room for SLACK more bytes.
      below: the sum of the frequencies of lesser samples.
      frequency: the sample's own; positive.
      total: of all samples; at most 2^48.
    """
    part = coder.range // np.uint64(total)
    low = coder.low + part * np.uint64(below)
    if low < coder.low:
        _carry(data, coder.position)
    span = part * np.uint64(frequency)
    while span < _LEAST_RANGE:
        data[coder.position] = low >> _TOP_SHIFT
        coder.position += 1
        low <<= _EIGHT
        span <<= _EIGHT
    coder.low, coder.range = low, span


@jit
def finish(coder: Any, data: np.ndarray) -> None:
    """Writes the byte that names a number of the interval, whatever zeros follow it."""
    low = coder.low
    top = low >> _TOP_SHIFT
    if low << _EIGHT != np.uint64(0):
        top += np.uint64(1)  # The interval is at least one byte wide.
    if top == np.uint64(256):
        _carry(data, coder.position)
        top = np.uint64(0)
    data[coder.position] = top
    coder.position += 1
    # A decoder reads zeros after the end.
    while coder.position and data[coder.position - 1] == 0:
        coder.position -= 1


@jit
def _carry(data: np.ndarray, position: int) -> None:
    position -= 1
    while data[position] == 255:
        data[position] = 0
        position -= 1
    data[position] += 1


@jit
def start_decoder(coder: Any, data: np.ndarray) -> None:
    """Reads the first bytes."""
    coder.low = 0
    coder.range = _ALL
    coder.position = 0
    for _ in range(FIRST_BYTES):
        coder.low = (coder.low << _EIGHT) | _next(coder, data)


@jit
def target(coder: Any, total: int) -> Any:
    """Returns a number below `total`: in [below, below + frequency) of the next sample."""
    part = coder.range // np.uint64(total)
    return min(np.int64(coder.low // part), total - 1)


@jit
def consume(coder: Any, data: np.ndarray, below: int, frequency: int, total: int) -> None:
    """Takes the sample whose share `target` has found out of the code."""
    part = coder.range // np.uint64(total)
    low = coder.low - part * np.uint64(below)
    span = part * np.uint64(frequency)
    while span < _LEAST_RANGE:
        low = (low << _EIGHT) | _next(coder, data)
        span <<= _EIGHT
    coder.low, coder.range = low, span


@jit
def _next(coder: Any, data: np.ndarray) -> Any:
    position = coder.position
    coder.position += 1
    if position < data.size:
        return np.uint64(data[position])
    return np.uint64(0)
