"""The channels of a segment as chunks, side by side; each knows nothing before itself.

n frames, C channels, L samples in a chunk.
"""

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from models.interface import Batch
from runtime.stereo_blocks import locate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How channels become chunks: as the model saw them when it was trained.

    Attributes:
      chunk_size: L.
      block: of the channels' common stream, see `runtime.stereo_blocks`; 0: the model was trained
        on a downmix, so each channel is a stream of its own.
    """

    chunk_size: int
    block: int


class Streams(NamedTuple):
    """The streams of a segment.

    Attributes:
      channels: in a stream.
      places: of each stream, where its samples lie in [C, n], flat, int64 [number, n or C n].
    """

    channels: int
    places: np.ndarray


def find_streams(layout: Layout, channels: int, frames: int) -> Streams:
    """Returns how a segment's samples follow each other."""
    if not layout.block or channels == 1:
        return Streams(1, np.arange(channels * frames).reshape(channels, frames))
    position = np.arange(channels * frames)
    channel, frame = locate(position, frames, channels, layout.block)
    return Streams(channels, (channel * frames + frame)[np.newaxis])


def find_groups(
    layout: Layout, channels: int, frames: int, rows: int
) -> Iterator[tuple[Batch, list[np.ndarray]]]:
    """Yields chunks that are coded at once, always `rows`, the last ones empty.

    Args:
      layout: of the model.
      channels: C.
      frames: n.
      rows: chunks at once.

    Yields:
      What `interface.StepModel.init_rows` takes; and of each chunk the places of its samples in
      [C, n], flat.
    """
    streams = find_streams(layout, channels, frames)
    size = layout.chunk_size
    chunks = [
        (position, stream[position : position + size])
        for stream in streams.places
        for position in range(0, stream.size, size)
    ]
    for first in range(0, len(chunks), rows):
        group = chunks[first : first + rows]
        group += [(0, np.zeros(0, np.int64))] * (rows - len(group))
        number = np.full(rows, 1, np.int32)
        batch: Batch = {
            "stop": np.array([places.size for _, places in group], np.int32),
            "position": np.array([position for position, _ in group], np.int64),
            "frames": number.astype(np.int64) * frames,
            "channels": number * streams.channels,
            "block": number * max(layout.block, 1),
        }
        yield batch, [places for _, places in group]
