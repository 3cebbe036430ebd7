"""What a segment needs of a model: its channels as bytes, and back.

n frames, C channels.
"""

from typing import Protocol

import numpy as np

from codec.fields import Fields

FLAGS = 8 | 16 | 64 | 128
"""Flags of a segment that are a coder's."""


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

    def encode(self, samples: np.ndarray) -> tuple[int, bytes]:  # int32 [C, n]
        """Returns flags, of FLAGS, and bytes; no sample has more than `depth` bits."""

    def decode(
        self, flags: int, fields: Fields, channels: int, frames: int
    ) -> np.ndarray:  # int32 [C, n]
        """Returns the channels that `encode` was given.

        Args:
          flags: what it has returned; others are to be ignored.
          fields: at the beginning of its bytes; nothing follows them.
          channels: C.
          frames: n.

        Raises:
          DataError: the bytes are not what `encode` writes.
        """
