"""What a segment needs of a model: its channels as bytes, and back.

n frames, C channels, m frames that follow each other.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from codec.fields import Fields
from models.interface import Advance, no_advance

FLAGS = 8 | 16 | 64 | 128
"""Flags of a segment that are a coder's."""
MOST_PER_BYTE = 2**14
"""Samples that a byte of code has at most: a file's length bounds what decoding it takes."""


class Coder(Protocol):
    """A model as a codec.

    Attributes:
      depth: bits of a sample that it codes, at most.
      segment: frames of a segment, where nobody says otherwise.
    """

    depth: int
    segment: int

    @property
    def probe(self) -> bytes:
        """A hash of the floats that the model computes here; empty: it is exact everywhere."""

    @property
    def made_with(self) -> str:
        """What these floats depend on; empty where the model is exact."""

    def encode(
        self,
        samples: np.ndarray,  # int32 [C, n]
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> tuple[int, bytes]:
        """Returns flags, of FLAGS, and bytes, one for MOST_PER_BYTE samples at least.

        Args:
          samples: none has more than `depth` bits.
          num_threads: that may share the work.
          advance: is told what has been coded.
        """

    def decode(
        self,
        flags: int,
        fields: Fields,
        channels: int,
        frames: int,
        *,
        num_threads: int = 1,
        advance: Advance = no_advance,
    ) -> Iterator[np.ndarray]:  # int32 [C, m]
        """Yields the channels that `encode` was given, some frames after the other.

        Args:
          flags: what it has returned; others are to be ignored.
          fields: at the beginning of its bytes; nothing follows them. Where some are missing, what
            they hold is anything.
          channels: C.
          frames: n.
          num_threads: as above.
          advance: is told what has been decoded.

        Raises:
          DataError: the bytes are not what `encode` writes.
        """
