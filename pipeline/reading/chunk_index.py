"""The chunks of a catalogue and their numbers. N files."""

import dataclasses
import functools

import numpy as np

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.column_file import allocate
from pipeline.config import PipelineConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunks:
    """The chunks of a catalogue, numbered consecutively over all its files.

    Only the number of each file's first chunk is stored: 8 bytes a file, not an entry a chunk.

    Attributes:
      catalogue: the files.
      config: how they are divided into chunks.
    """

    catalogue: Catalogue
    config: PipelineConfig

    def __len__(self) -> int:
        return int(self.first[-1])

    @property
    def kept_channels(self) -> np.ndarray:  # int64 [N]
        """Channels of each file after the downmix."""
        channels = self.catalogue.channels.astype(np.int64)
        return np.ones_like(channels) if self.config.downmix else channels

    @functools.cached_property
    def first(self) -> np.ndarray:  # int64 [N + 1]
        """The number of each file's first chunk; the last entry is their total."""
        first = allocate(len(self.catalogue) + 1, np.dtype(np.int64))
        np.cumsum(-(-self._samples() // self.config.chunk_size), out=first[1:])
        return first

    @functools.cached_property
    def num_samples(self) -> int:
        """Samples in all chunks, without padding."""
        return int(self._samples().sum(dtype=np.int64))

    def _samples(self) -> np.ndarray:  # int64 [N]
        files = self.catalogue.without_cached_columns()
        return files.frames if self.config.downmix else files.frames * files.channels

    def files_of(self, chunks: np.ndarray) -> np.ndarray:  # int64 [M]
        """Returns the index of the file that holds each of these chunks, by number; [M]."""
        return np.searchsorted(self.first, chunks, side="right") - 1

    def locate(self, chunk: int) -> tuple[str, int]:
        """Returns the path of the file that holds a chunk, and the chunk's number within it."""
        file = int(self.files_of(np.array(chunk)))
        return self.catalogue.paths[file], chunk - int(self.first[file])
