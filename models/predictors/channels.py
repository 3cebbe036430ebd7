"""The channels of a chunk, which holds them in blocks.

L samples in a chunk.
"""

from collections.abc import Iterator

import numpy as np

from runtime.stereo_blocks import locate


def channel_indices(
    stop: int, position: int, frames: int, channels: int, block: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the places of each channel in a chunk, in order of time.

    Args:
      stop: samples of the chunk without padding; at most L.
      position: of its first sample in the stream of its file.
      frames: of the file.
      channels: of the stream.
      block: samples of one channel in a block of the stream.

    Yields:
      Places of the samples of one channel, int64 [n]; and those of the channel before it from the
      same frame on, int64 [n or more], or [0] where the chunk does not hold all of these frames.
    """
    none = np.zeros(0, np.int64)
    if stop <= 0:
        return
    if channels == 1:
        yield np.arange(stop), none
        return
    channel, frame = locate(position + np.arange(stop), frames, channels, block)
    before, before_frames = none, none
    for number in range(channels):
        places = np.flatnonzero(channel == number)
        if not places.size:
            before, before_frames = none, none
            continue
        start = np.searchsorted(before_frames, frame[places[0]])
        known = before_frames[start : start + places.size]
        yield places, before[start:] if np.array_equal(known, frame[places]) else none
        before, before_frames = places, frame[places]
