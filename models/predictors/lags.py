"""The lags of long-term prediction in a stream: which are allowed, and how they are written.

n frames in B blocks, K lags a block.

Bits, most significant first, of one block after the other: 0 if its lags are those of the block
before (before the first block: 0), else 1 and of one lag after the other:

    0              the lag is that of the block before, at the same k
    10 and place   another one: the place's frame, block's start - lag, in as many bits as its
                   greatest value has
    11             0: no lag

Zero bits fill the last byte. Where no block has a lag, there is nothing.
"""

import numpy as np

from models.predictors.config import LongTermConfig
from runtime.errors import DataError


def count_blocks(frames: int, config: LongTermConfig) -> int:
    """Returns B."""
    return -(-frames // config.block)


def least_lag(config: LongTermConfig) -> int:
    """Returns the least lag of which everything around the place is known."""
    return max(config.after, config.side) + 1


def check_lags(lags: np.ndarray, frames: int, config: LongTermConfig) -> np.ndarray:
    """Returns lags that may be used, int64 [B, K].

    Args:
      lags: integers [B, K]; 0 is none.
      frames: n, of the segment.
      config: the settings.

    Raises:
      DataError: there are too few or too many, or one reaches beyond the segment's start or into
        what is not yet known.
    """
    shape = (count_blocks(frames, config), config.lags)
    if lags.shape != shape or lags.dtype.kind not in "iu":
        raise DataError(
            f"lags must be integers of shape {shape} for {frames} frames, got {lags.dtype} of "
            f"shape {lags.shape}"
        )
    lags = np.ascontiguousarray(lags, np.int64)
    starts = config.block * np.arange(shape[0])[:, None]
    least = least_lag(config)
    wrong = (lags != 0) & ((lags < least) | (lags > starts))
    if wrong.any():
        block, k = np.argwhere(wrong)[0]
        raise DataError(
            f"the lag of block {block} must be 0 or between {least} and the block's start, "
            f"{config.block * block}; got {lags[block, k]}"
        )
    return lags


def pack_lags(lags: np.ndarray, frames: int, config: LongTermConfig) -> bytes:
    """Returns lags as bytes, which `unpack_lags` reads.

    Args:
      lags: integers [B, K].
      frames: n, of the segment.
      config: the settings.

    Raises:
      DataError: as `check_lags`.
    """
    lags = check_lags(lags, frames, config)
    if not lags.any():
        return b""
    bits: list[str] = []
    last = [0] * config.lags
    for block, row in enumerate(lags.tolist()):
        if row == last:
            bits.append("0")
            continue
        bits.append("1")
        start = block * config.block
        for before, lag in zip(last, row, strict=True):
            if lag == before:
                bits.append("0")
            elif lag:
                bits.append(f"10{start - lag:0{_place_bits(start, config)}b}")
            else:
                bits.append("11")
        last = row
    text = "".join(bits)
    count = -(-len(text) // 8)
    return int(text.ljust(8 * count, "0"), 2).to_bytes(count, "big")


def unpack_lags(data: bytes, frames: int, config: LongTermConfig) -> np.ndarray:
    """Returns the lags that `pack_lags` has written, int64 [B, K].

    Args:
      data: the bytes.
      frames: n, of the segment.
      config: the settings.

    Raises:
      DataError: the bytes are not what `pack_lags` writes.
    """
    lags = np.zeros((count_blocks(frames, config), config.lags), np.int64)
    if not data:
        return lags
    most = lags.shape[0] * (1 + config.lags * (2 + _place_bits(frames, config)))
    if 8 * len(data) > most + 7:
        raise DataError(f"{len(data)} bytes of lags, expected at most {most + 7 >> 3}")
    text = "".join(f"{byte:08b}" for byte in data)
    at = 0
    for block in range(lags.shape[0]):
        start = block * config.block
        same = text[at : at + 1] == "0"
        at += 1
        if same:
            lags[block] = lags[block - 1] if block else 0
            continue
        for k in range(config.lags):
            if text[at : at + 1] == "0":
                lags[block, k] = lags[block - 1, k] if block else 0
                at += 1
            elif text[at : at + 2] == "10":
                end = at + 2 + _place_bits(start, config)
                if not at + 2 < end <= len(text):
                    raise DataError(f"the lags end in block {block}, or it can have none")
                lags[block, k] = start - int(text[at + 2 : end], 2)
                at = end
            else:
                at += 2
    lags = check_lags(lags, frames, config)
    if pack_lags(lags, frames, config) != data:
        raise DataError(f"{len(data)} bytes of lags are not what is written for any")
    return lags


def _place_bits(start: int, config: LongTermConfig) -> int:
    return max(start - least_lag(config), 0).bit_length()
