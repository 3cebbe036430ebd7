"""The codes of a segment's channels as one stream, whose beginning has that of each of them.

C channels, S slices, n frames.

Of a file that is truncated, or damaged further on, all channels can so be decoded up to there. It
takes no bytes: the decoder gives each channel, before a slice of it, as many of the next bytes as
the slice may take at most, and the encoder, which knows what a decoder has read by then, puts them
there.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from codec.range_coder import FIRST_BYTES, MOST_BYTES

_SLICE = 2048
"""Frames: long for a call, but what they may take, 12 KiB, is little to lose."""


def slices(frames: int) -> list[slice]:
    """Returns the slices of a segment of n frames, which a decoder's channels take turns with."""
    return [slice(start, min(start + _SLICE, frames)) for start in range(0, frames, _SLICE)]


def turns(channels: int, count: int) -> Iterator[list[tuple[int, int]]]:
    """Yields channels and slices that are decoded side by side, one turn after the other.

    Args:
      channels: C.
      count: S.
    """
    # Two slices behind: a channel looks ahead in the one before it.
    for turn in range(count + 2 * (channels - 1)):
        first, last = max(0, (turn - count) // 2 + 1), min(channels - 1, turn // 2)
        yield [(channel, turn - 2 * channel) for channel in range(first, last + 1)]


def interleave(
    codes: Sequence[bytes],  # [C]
    positions: np.ndarray,  # int64 [C, S]
    parts: Sequence[slice],  # [S]
) -> bytes:
    """Returns the codes as one stream.

    Args:
      codes: of the channels.
      positions: bytes of code that a decoder has read before each slice.
      parts: the slices.
    """
    pieces, given = [], [0] * len(codes)
    for turn in turns(len(codes), len(parts)):
        for channel, place in turn:
            end = _most_read(int(positions[channel, place]), parts[place])
            pieces.append(codes[channel][given[channel] : end])
            given[channel] = max(given[channel], end)
    return b"".join(pieces)


class Deinterleaver:
    """Gives each channel its code, turn by turn.

    Attributes:
      codes: of the channels, uint8; zeros where nothing has been given yet, or is missing.
    """

    def __init__(self, data: bytes, sizes: Sequence[int]) -> None:
        """Begins.

        Args:
          data: the stream, or the beginning of it.
          sizes: of the codes, in bytes.
        """
        self.codes = [np.zeros(min(size, len(data)), np.uint8) for size in sizes]
        self._data, self._at = np.frombuffer(data, np.uint8), 0
        self._sizes, self._given = sizes, [0] * len(sizes)

    def give(self, channel: int, position: int, part: slice) -> None:
        """Gives a channel what a slice of it may take.

        Args:
          channel: its number.
          position: bytes of code that it has read.
          part: the slice that comes next.
        """
        begin = self._given[channel]
        end = min(_most_read(position, part), self._sizes[channel])
        if end <= begin:
            return
        piece = self._data[self._at : self._at + end - begin]
        self.codes[channel][begin : begin + piece.size] = piece
        self._at, self._given[channel] = self._at + piece.size, end


def _most_read(position: int, part: slice) -> int:
    """Returns how many bytes of code a channel may have read at the end of a slice."""
    return max(position, FIRST_BYTES) + MOST_BYTES * (part.stop - part.start)
