"""Where the samples of a stream of interleaved blocks come from: L[0:N] R[0:N] L[N:2N] R[N:2N] ...

Files become such streams (`pipeline.transforms.block`), and models put the channels together again.
"""

import numpy as np


def locate(
    position: np.ndarray,  # int64 [n], 0 <= position < frames * channels
    frames: np.ndarray | int,  # int64 [n] or a number, in the file
    channels: np.ndarray | int,  # likewise
    length: int,
) -> tuple[np.ndarray, np.ndarray]:  # int64 [n] each
    """Returns the channel and the frame of the sample at a position of a stream.

    Args:
      position: in the stream, of each sample.
      frames: of its file. The last block may be short, in every channel alike.
      channels: of its file.
      length: of a block, N.
    """
    whole = frames // length * length  # Frames before the last, short block.
    last = np.maximum(frames - whole, 1)
    block, in_block = position // length, position % length
    behind = position - whole * channels
    channel = np.where(behind < 0, block % channels, behind // last)
    frame = np.where(behind < 0, block // channels * length + in_block, whole + behind % last)
    return channel, frame
