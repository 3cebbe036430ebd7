"""The encoder's search for lags: where the segment was like this before.

n frames of C channels, in blocks of L frames; K lags a block; pieces of N frames.

For each block it correlates all that lies before it, in the bank's errors of all channels together,
and keeps the places that are most like it. It chooses the best of these; takes away of each channel
what that place explains; and chooses the next one for what is left. Each error counts relative to
those around it: bits are saved where the error becomes a smaller part of itself, in a quiet passage
as in a loud one, and an attack is not mistaken for another. The result is data of the stream: a
decoder searches nothing, so any arithmetic will do.

Correlations are products of spectra. The past is cut into pieces that overlap by a block, and each
is transformed once; so a block costs its own transform, and a product and an inverse transform for
each piece of its past (2 us a sample of two channels of 2^20 frames; it grows with the length).
"""

from collections.abc import Sequence

import numpy as np

from models.predictors.config import LongTermConfig
from models.predictors.lags import count_blocks, least_lag

_LEAST = 6.5
"""Of a correlation, in standard deviations of that with noise: noise comes near it somewhere, and
what is less alike saves no more bits than its lag costs."""

_SPAN = 16  # Errors on either side that one is relative to.
_CANDIDATES = 64  # Places of which lags are chosen.
_STRETCH = 1024  # Frames that have one candidate.
_PIECE = 32768  # Frames of a transform.
_FARTHEST = 2**22  # Frames before a block that are searched: bounds the time of long segments.
_BATCH = 8  # Pieces that are transformed back at once: bounds the memory.


def find_lags(errors: np.ndarray, config: LongTermConfig) -> np.ndarray:
    """Returns how far before each block the places that are most like it lie.

    Args:
      errors: of the bank, samples less predictions, in steps of the scale; floats [C, n].
      config: the settings.

    Returns:
      Frames, int64 [B, K]; 0 where there is no such place.
    """
    search = LagSearch(config, *errors.shape)
    search.add(errors)
    return search.lags


class LagSearch:
    """Finds lags while errors become known, as `find_lags` does of all.

    Attributes:
      lags: int64 [B, K]; of blocks that have not been searched yet 0.
    """

    def __init__(self, config: LongTermConfig, channels: int, frames: int) -> None:
        """Args: the settings, C, and n."""
        self.lags = np.zeros((count_blocks(frames, config), config.lags), np.int64)
        self._config, self._frames = config, frames
        self._threshold = _LEAST / (channels * config.block) ** 0.5
        self._last = np.zeros((channels, 0), np.float32)  # Errors, the first SPAN of them done.
        self._past = _Past(channels, frames, config.block)
        self._known = 0  # Frames that have been added.
        self._searched = 1  # Blocks; nothing lies before the first.

    def add(self, errors: np.ndarray) -> None:  # floats [C, m]
        """Takes the errors of the next frames; searches for the blocks whose lags they decide.

        These are all blocks up to 16 frames before the last one; and once n frames are known, all.
        """
        self._known += errors.shape[1]
        done = self._past.known
        end = self._known if self._known == self._frames else max(self._known - _SPAN, done)
        before = min(done, _SPAN)
        self._last = np.concatenate([self._last, errors], 1, dtype=np.float32)
        self._past.add(_relative(self._last)[:, before : before + end - done])
        self._last = self._last[:, before + end - done - min(end, _SPAN) :]
        whole = len(self.lags) if end == self._frames else end // self._config.block
        for block in range(self._searched, whole):
            self._find(block)
        self._searched = max(self._searched, whole)

    def _find(self, block: int) -> None:
        past, config = self._past, self._config
        start = block * config.block
        left = past.frames([start])[0]
        # What follows a place is known for the whole block.
        places = past.candidates(left, start - config.block - least_lag(config))
        matches = past.frames(places)
        for k in range(config.lags if places.size else 0):
            likeness = past.likeness(matches, places, left)
            best = likeness.argmax()
            if likeness[best] < self._threshold:
                break
            self.lags[block, k] = start - places[best]
            left = _without(left, matches[best])


def _relative(errors: np.ndarray) -> np.ndarray:
    """Returns errors over the mean size of those around them, and one step; float32 [C, n]."""
    channels, frames = errors.shape
    totals = np.zeros(frames + 1)
    first = np.maximum(np.arange(frames) - _SPAN, 0)
    last = np.minimum(np.arange(frames) + _SPAN + 1, frames)
    result = np.empty((channels, frames), np.float32)
    for channel, row in enumerate(errors):
        np.cumsum(np.abs(row), out=totals[1:])
        around = (totals[last] - totals[first]) / (last - first)
        result[channel] = row / (around + 1.0)
    return result


class _Past:
    """All frames of a segment that are known, and the spectra of their pieces.

    Attributes:
      known: how many.
    """

    def __init__(self, channels: int, frames: int, block: int) -> None:
        """Args: C, n, and L."""
        self.known = 0
        self._block = block
        self._size = max(_PIECE, 4 * block)
        self._hop = self._size - block
        count = max(-(-frames // self._hop), 1)
        self._errors = np.zeros((channels, count * self._hop + self._size), np.float32)
        self._spectra = np.empty((count, channels, self._size // 2 + 1), np.complex64)
        self._whole = 0  # Pieces that are known to their end.
        # At each place, one over the root of the energy of the block that begins there.
        self._inverse = np.empty(self._errors.shape[1], np.float32)

    def add(self, errors: np.ndarray) -> None:  # float32 [C, m]
        """Takes the next frames."""
        first = max(self.known - self._block, 0)
        end = self.known + errors.shape[1]
        self._errors[:, self.known : end] = errors
        self.known = end
        squares = np.zeros(end - first + 1)
        np.cumsum(np.square(self._errors[:, first:end], dtype=np.float64).sum(0), out=squares[1:])
        energy = squares[self._block :] - squares[: -self._block]
        inverse = 1 / np.sqrt(np.maximum(energy, 1.0))
        self._inverse[first : first + energy.size] = inverse
        for piece in range(self._whole, -(-end // self._hop)):
            start = piece * self._hop
            self._spectra[piece] = self._transform(self._errors[:, start : start + self._size])
        self._whole = max(end - self._block, 0) // self._hop

    def frames(self, places: Sequence[int] | np.ndarray) -> np.ndarray:
        """Returns the blocks that begin at some frames, float32 [places, C, L]."""
        blocks = [self._errors[:, place : place + self._block] for place in places]
        return np.array(blocks, np.float32).reshape(-1, self._errors.shape[0], self._block)

    def likeness(self, matches: np.ndarray, places: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """Returns the sizes of normalized correlations, [places]."""
        energy = float(np.square(wanted, dtype=np.float64).sum())
        products = np.abs(matches.reshape(places.size, -1) @ wanted.reshape(-1))
        return products * self._inverse[places] / max(energy, 1.0) ** 0.5

    def candidates(self, wanted: np.ndarray, last: int) -> np.ndarray:
        """Returns the places up to `last` that are most like a block, int64 [places]."""
        if last < 0 or not wanted.any():
            return np.zeros(0, np.int64)
        spectrum = self._transform(np.pad(wanted, ((0, 0), (0, self._size - self._block)))).conj()
        pieces = last // self._hop + 1
        places, sizes = [], []
        for first in range(max(0, pieces - _FARTHEST // self._hop), pieces, _BATCH):
            spectra = self._spectra[first : min(first + _BATCH, pieces)]
            product = spectra[:, 0] * spectrum[0]
            for channel in range(1, spectrum.shape[0]):
                product += spectra[:, channel] * spectrum[channel]
            begin = first * self._hop
            found = np.fft.irfft(product, self._size)[:, : self._hop].reshape(-1)
            found = np.abs(found[: last + 1 - begin])
            found *= self._inverse[begin : begin + found.size]
            # One of each stretch, so that they are not all the same one.
            stretches = np.pad(found, (0, -found.size % _STRETCH)).reshape(-1, _STRETCH)
            places.append(stretches.argmax(1) + begin + _STRETCH * np.arange(len(stretches)))
            sizes.append(stretches.max(1))
        order = np.argsort(-np.concatenate(sizes), kind="stable")[:_CANDIDATES]
        return np.concatenate(places)[order].astype(np.int64)

    def _transform(self, frames: np.ndarray) -> np.ndarray:
        return np.fft.rfft(frames).astype(np.complex64)


def _without(left: np.ndarray, match: np.ndarray) -> np.ndarray:
    """Returns what a place does not explain of each channel of a block, float32 [C, L]."""
    power = np.square(match, dtype=np.float64).sum(1)
    common = (match.astype(np.float64) * left).sum(1)
    gains = common / np.maximum(power, 1.0)
    return (left - gains[:, None] * match).astype(np.float32)
