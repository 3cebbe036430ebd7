"""Exact integers as the bytes of a WAV payload: the inverse of `decode` for integer encodings.

F frames, C channels.
"""

import numpy as np

from pipeline.wav.encoding import U8_OFFSET


def pcm_bytes(
    frames: np.ndarray,  # integers [F, C], signed, of `depth` bits
    depth: int,  # 8, 16, 24 or 32
) -> bytes:
    """Returns interleaved samples as a WAV file stores them: little-endian, 8 bits unsigned."""
    if depth == 8:
        return (frames + U8_OFFSET).astype(np.uint8).tobytes()
    if depth == 24:
        return np.ascontiguousarray(frames, "<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return frames.astype(f"<i{depth // 8}").tobytes()
