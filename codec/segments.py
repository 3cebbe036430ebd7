"""A segment as bytes, and back.

n frames, C channels.

    flags       a byte, see the constants below, and in its upper two bits the depth of what is
                coded: 0, 1, 2: 8, 16, 24 bits
    shift       a byte, where there is one: low bits of all samples that are zero
    values      where there are some: the length of what follows, and, by `pack_bytes`, the least
                value, and the distances from each value that occurs to the next, less 1; samples
                are then places in that list, less half its length
    channels    where some are not coded: for each, 0: coded; 1 and a value: constant; 2 and k: as
                channel k before it
    lags        where there are some: the length of what follows, and what `lags.pack_lags` writes
    code        of the range coder, one channel after the other

or, where that were no fewer, the samples as they are, in 1, 2, 3 or 4 bytes each.
"""

import dataclasses

import numpy as np

from codec.fields import Fields, number, signed
from codec.kernel import decode_channel, encode_channel
from codec.plain_bytes import pack_bytes, unpack_bytes
from codec.range_coder import CODER, SLACK, finish, init_encoder, start_decoder
from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.segment import Analysis, analyse_segment, before
from models.exact.stream import init_stream
from models.native_scale import common_zeros, least_depth
from models.predictors.lags import pack_lags, unpack_lags
from runtime.errors import DataError

_SHIFT, _VALUES, _CHANNELS, _LAGS, _SWAPPED, _VERBATIM = (1 << bit for bit in range(6))
_DEPTH = 6  # Bits before that of the depth.
_MOST_VALUES = 2**16
_MOST_PER_BYTE = 2**14  # Samples that are coded by a byte.


def encode_segment(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # int32 [n, C]
) -> bytes:
    """Returns a segment as bytes."""
    verbatim = _verbatim(frames)
    flags, head = 0, b""
    shift = common_zeros(frames)
    if shift:
        flags |= _SHIFT
        head += bytes([shift])
        frames = frames >> shift
    values = _sparse_values(frames)
    if values is not None:
        packed = pack_bytes(_pack_values(values))
        flags |= _VALUES
        head += number(len(packed)) + packed
        frames = (np.searchsorted(values, frames) - len(values) // 2).astype(np.int32)
    kinds, coded = _channel_kinds(frames)
    if any(kinds):
        flags |= _CHANNELS
        head += b"".join(kind or number(0) for kind in kinds)
    depth = least_depth(frames[:, coded])
    if depth > config.depth:
        return verbatim
    config = dataclasses.replace(config, depth=depth)
    flags |= (depth // 8 - 1) << _DEPTH
    code = b""
    if coded:
        found = analyse_segment(config, frames[:, coded])
        if found.is_swapped:
            flags |= _SWAPPED
        lags = pack_lags(found.lags, len(frames), config.predictors.long_term)
        if lags:
            flags |= _LAGS
            head += number(len(lags)) + lags
        code = _encode_channels(config, network, found)
    # Zeros that the code leaves out: a file's length bounds what decoding it takes.
    data = bytes([flags]) + head + code.ljust(frames[:, coded].size // _MOST_PER_BYTE, b"\0")
    return data if len(data) < len(verbatim) else verbatim


def decode_segment(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    data: bytes,
    frames: int,
    channels: int,
) -> np.ndarray:  # int32 [n, C]
    """Returns the frames that `encode_segment` was given.

    Args:
      config: the model's.
      network: its network.
      data: the bytes.
      frames: n.
      channels: C.

    Raises:
      DataError: the bytes are not what `encode_segment` writes.
    """
    fields = Fields(data)
    flags = fields.take(1)[0]
    if flags & _VERBATIM:
        return _from_verbatim(fields, frames, channels)
    config = dataclasses.replace(config, depth=_read_depth(flags, config.depth))
    shift = fields.take(1)[0] if flags & _SHIFT else 0
    if shift > 31:
        raise DataError(f"samples are shifted by {shift} bits, expected at most 31")
    values = _unpack_values(fields) if flags & _VALUES else None
    samples = np.zeros((channels, frames), np.int32)
    coded = list(range(channels))
    copies: list[tuple[int, int]] = []
    if flags & _CHANNELS:
        coded, copies = _read_kinds(fields, samples)
    lags = fields.take(fields.number()) if flags & _LAGS else b""
    if coded:
        if fields.left < len(coded) * frames // _MOST_PER_BYTE:
            raise DataError(f"{fields.left} bytes of code are too few for {frames} frames")
        unpacked = unpack_lags(lags, frames, config.predictors.long_term)
        found = _decode_channels(config, network, fields.rest(), len(coded), frames, unpacked)
        samples[coded] = found[::-1] if flags & _SWAPPED else found
    for channel, source in copies:
        samples[channel] = samples[source]
    if values is not None:
        first = len(values) // 2
        if not -first <= samples.min(initial=0) <= samples.max(initial=0) < len(values) - first:
            raise DataError("a sample has no value")
        samples += first
        samples = values[samples]
    samples <<= shift
    return samples.T


def _encode_channels(config: AdaptiveModelConfig, network: ExactMlp, found: Analysis) -> bytes:
    count = found.samples.shape[1]
    coder = init_encoder()
    data = np.zeros(found.samples.size * config.depth // 8 + 64, np.uint8)
    stream = None
    for channel, samples in enumerate(found.samples):
        stream = init_stream(config, network, found.lags, count, stream)
        offsets, bases = found.offsets[channel], found.bases[channel]
        done = 0
        while done < count:
            done += encode_channel(
                stream, samples[done:], offsets[done:], bases[done:], coder[0], data
            )
            if done < count:
                data = np.concatenate([data, np.zeros_like(data)])
    if coder[0]["position"] + SLACK > data.size:
        data = np.concatenate([data, np.zeros(SLACK, np.uint8)])
    finish(coder[0], data)
    return data[: coder[0]["position"]].tobytes()


def _decode_channels(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    code: bytes,
    channels: int,
    frames: int,
    lags: np.ndarray,
) -> np.ndarray:  # int32 [C, n]
    coder = np.zeros(1, CODER)
    data = np.frombuffer(code, np.uint8)
    start_decoder(coder[0], data)
    samples = np.zeros((channels, frames), np.int32)
    stream = None
    for channel in range(channels):
        stream = init_stream(config, network, lags, frames, stream)
        decode_channel(stream, before(samples, channel), coder[0], data, samples[channel])
    return samples


def _read_depth(flags: int, most: int) -> int:
    depth = 8 * (1 + (flags >> _DEPTH))
    if depth > most:
        raise DataError(f"samples of {depth} bits, and the model codes {most} at most")
    return depth


def _sparse_values(frames: np.ndarray) -> np.ndarray | None:  # int32 [V]
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


def _pack_values(values: np.ndarray) -> bytes:
    distances = np.diff(values.astype(np.int64)) - 1
    return signed(int(values[0])) + b"".join(number(int(x)) for x in distances)


def _unpack_values(fields: Fields) -> np.ndarray:  # int32 [V]
    inner = Fields(unpack_bytes(fields.take(fields.number()), 4 * _MOST_VALUES))
    values = [inner.signed()]
    while inner.left:
        values.append(values[-1] + inner.number() + 1)
    if not -(2**31) <= values[0] <= values[-1] < 2**31:
        raise DataError("a value has more than 32 bits")
    return np.array(values, np.int32)


def _channel_kinds(frames: np.ndarray) -> tuple[list[bytes], list[int]]:
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


def _read_kinds(fields: Fields, samples: np.ndarray) -> tuple[list[int], list[tuple[int, int]]]:
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


def _verbatim(frames: np.ndarray) -> bytes:
    low, high = int(frames.min(initial=0)), int(frames.max(initial=0))
    size = next(k for k in (1, 2, 3, 4) if -(2 ** (8 * k - 1)) <= low and high < 2 ** (8 * k - 1))
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
