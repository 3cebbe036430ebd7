"""A segment as bytes, and back.

n frames, C channels, m frames that follow each other.

    flags       a byte, see the constants below
    shift       a byte, where there is one: low bits of all samples that are zero
    values      where there are some: the length of what follows, and, by `pack_bytes`, the least
                value, and the distances from each value that occurs to the next, less 1; samples
                are then places in that list, less half its length
    channels    where some are not coded: for each, 0: coded; 1 and a value: constant; 2 and k: as
                channel k before it
    code        what a coder makes of the channels that are coded; some flags are its own

or, where that were no fewer, the samples as they are, in 1, 2, 3 or 4 bytes each.
"""

from collections.abc import Iterator

import numpy as np

from codec.coder import MOST_PER_BYTE, Coder
from codec.fields import Fields, number
from codec.redundancy import (
    channel_kinds,
    pack_values,
    read_kinds,
    sparse_values,
    unpack_values,
)
from models.interface import Advance, no_advance
from models.native_scale import common_zeros, least_depth
from runtime.errors import DataError

_SHIFT, _VALUES, _CHANNELS, _VERBATIM = 1, 2, 4, 32  # The others are a coder's, see there.
_PIECE = 2**16  # Frames, where no coder says how many follow each other.


def encode_segment(
    coder: Coder,
    frames: np.ndarray,  # int32 [n, C]
    *,
    num_threads: int = 1,
    advance: Advance = no_advance,
) -> bytes:
    """Returns a segment as bytes; for threads and `advance` see `Coder.encode`."""
    all_frames = frames
    flags, head = 0, b""
    shift = common_zeros(frames)
    if shift:
        flags |= _SHIFT
        head += bytes([shift])
        frames = frames >> shift
    values = sparse_values(frames)
    if values is not None:
        flags |= _VALUES
        head += pack_values(values)
        frames = (np.searchsorted(values, frames) - len(values) // 2).astype(np.int32)
    kinds, coded = channel_kinds(frames)
    if any(kinds):
        flags |= _CHANNELS
        head += b"".join(kind or number(0) for kind in kinds)
    if least_depth(frames[:, coded]) > coder.depth:
        return _verbatim(all_frames)
    code = b""
    if coded:
        channels = np.ascontiguousarray(frames.T[coded])
        own, code = coder.encode(channels, num_threads=num_threads, advance=advance)
        flags |= own
    data = bytes([flags]) + head + code
    if len(data) < _verbatim_size(all_frames):
        return data
    return _verbatim(all_frames)


def decode_segment(
    coder: Coder,
    fields: Fields,
    frames: int,
    channels: int,
    *,
    num_threads: int = 1,
    advance: Advance = no_advance,
) -> Iterator[np.ndarray]:  # int32 [m, C]
    """Yields the frames that `encode_segment` was given, some after the other.

    Args:
      coder: the model's.
      fields: at the beginning of the bytes; see `Coder.decode` for those that are missing.
      frames: n.
      channels: C.
      num_threads: see `Coder.decode`, and
      advance: there.

    Raises:
      DataError: the bytes are not what `encode_segment` writes.
    """
    flags = fields.take(1)[0]
    if flags & _VERBATIM:
        yield _from_verbatim(fields, frames, channels)
        return
    shift = fields.take(1)[0] if flags & _SHIFT else 0
    if shift > 31:
        raise DataError(f"samples are shifted by {shift} bits, expected at most 31")
    values = unpack_values(fields) if flags & _VALUES else None
    frame = np.zeros((channels, 1), np.int32)
    coded = list(range(channels))
    copies: list[tuple[int, int]] = []
    if flags & _CHANNELS:
        coded, copies = read_kinds(fields, frame)
    if fields.left < len(coded) * frames // MOST_PER_BYTE:
        raise DataError(f"{fields.left} bytes of code are too few for {frames} frames")
    pieces = _no_channels(frames)
    if coded:
        pieces = coder.decode(
            flags, fields, len(coded), frames, num_threads=num_threads, advance=advance
        )
    for piece in pieces:
        samples = np.repeat(frame, piece.shape[1], axis=1)
        samples[coded] = piece
        for channel, source in copies:
            samples[channel] = samples[source]
        if values is not None:
            samples = _look_up(values, samples)
        yield (samples << shift).T


def _no_channels(frames: int) -> Iterator[np.ndarray]:  # int32 [0, m]
    for first in range(0, frames, _PIECE):
        yield np.zeros((0, min(_PIECE, frames - first)), np.int32)


def _look_up(values: np.ndarray, samples: np.ndarray) -> np.ndarray:  # int32 [C, m]
    first = len(values) // 2
    if not -first <= samples.min(initial=0) <= samples.max(initial=0) < len(values) - first:
        raise DataError("a sample has no value")
    return values[samples + first]


def _sample_bytes(frames: np.ndarray) -> int:
    low, high = int(frames.min(initial=0)), int(frames.max(initial=0))
    return next(k for k in (1, 2, 3, 4) if -(2 ** (8 * k - 1)) <= low and high < 2 ** (8 * k - 1))


def _verbatim_size(frames: np.ndarray) -> int:
    return 2 + _sample_bytes(frames) * frames.size


def _verbatim(frames: np.ndarray) -> bytes:
    size = _sample_bytes(frames)
    little = np.ascontiguousarray(frames, "<i4").view(np.uint8).reshape(-1, 4)
    return bytes([_VERBATIM, size]) + little[:, :size].tobytes()


def _from_verbatim(fields: Fields, frames: int, channels: int) -> np.ndarray:
    size = fields.take(1)[0]
    if size not in (1, 2, 3, 4):
        raise DataError(f"samples of {size} bytes, expected 1 to 4")
    data = np.frombuffer(fields.rest(), np.uint8)
    if data.size != size * frames * channels:
        raise DataError(f"{data.size} bytes of samples, expected {size * frames * channels}")
    wide = np.zeros((frames * channels, 4), np.uint8)
    wide[:, 4 - size :] = data.reshape(-1, size)
    shifted = wide.view("<i4").reshape(frames, channels)
    return (shifted >> 8 * (4 - size)).astype(np.int32)


def is_verbatim(data: bytes) -> bool:
    """Whether a segment's bytes are its samples as they are."""
    return bool(data[0] & _VERBATIM)
