"""A part of a corpus: an even draw of its chunks, in place of the first files.

N files.
"""

import dataclasses

import numpy as np

from pipeline.reading.chunk_index import Chunks
from pipeline.split import hash_to_unit

_HALF = 2.0**24  # Of the 48 bits of a hash: the upper half and the lower half are independent.
_BISECTIONS = 50


def draw_chunks(chunks: Chunks, limit: int, *, seed: int) -> Chunks:
    """Returns about `limit` chunks, and no more: of each file a stretch of the same share of it.

    A file of c chunks keeps floor(f*c + u) consecutive ones, so f*c on average: u in [0, 1) and the
    place of the stretch follow from a hash of the file's relative name and the seed, and f is the
    largest share at which all stretches have `limit` chunks at most. Files of which nothing is kept
    are left out. The result is a catalogue of stretches: no code after this knows of the draw.

    Files that are added lower f, and a higher limit raises it; nothing else of them matters to the
    other files. With a lower f each stretch is a part of what it was (with kept channels, but for
    less than a chunk at either end).

    Args:
      chunks: all of them.
      limit: maximum number of chunks to keep.
      seed: random seed of the draw.
    """
    if len(chunks) <= limit:
        return chunks
    catalogue = chunks.catalogue
    counts = np.diff(chunks.first)
    hashes = hash_to_unit(catalogue.names, seed, "chunks\0")
    kept = _share_out(counts, hashes, limit)
    # The two halves of a hash are independent numbers.
    begins = np.floor(hashes * _HALF % 1 * (counts - kept + 1)).astype(np.int64)

    channels, size = chunks.kept_channels, chunks.config.chunk_size
    skipped = begins * size // channels
    frames = np.minimum(kept * size // channels, catalogue.frames - skipped)
    stretches = catalogue.stretches(skipped, frames).select(np.flatnonzero(frames > 0))
    return dataclasses.replace(chunks, catalogue=stretches)


def _share_out(
    counts: np.ndarray,  # int64 [N]
    hashes: np.ndarray,  # float64 [N]
    limit: int,
) -> np.ndarray:  # int64 [N]
    """Returns the number of chunks to keep of each file, at most `limit` in all."""

    def kept(share: float) -> np.ndarray:
        return np.floor(share * counts + hashes).astype(np.int64)

    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        total = int(kept(middle).sum())
        if total <= limit:
            low = middle
        else:
            high = middle
        if total == limit:
            break
    result = kept(low)
    if not result.any():  # One chunk of two files of one name, which share a hash.
        result[hashes.argmax()] = 1
    return result
