"""What decides which samples a batch holds."""

import dataclasses
import os

from runtime.errors import ConfigError, require_at_least
from runtime.filesystem import cache_folder
from runtime.gfile import is_remote

DEPTHS = (8, 16, 24)

_WINDOW_STEPS = 256
_ROW_SAMPLES = 2**19


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """How files become batches.

    Attributes:
      chunk_size: L, samples in a chunk, the length of one training sequence.
      batch_size: B, chunks in the global batch, over all hosts and devices.
      depth: bits per sample, one of DEPTHS: the most significant ones of the source.
      downmix: average the channels; else keep them, interleaved in blocks.
      stereo_blocking_n: samples of one channel in a block; without effect on a downmix.
      seed: random seed of the order of chunks and of the split.
      shuffle_window: chunks that are shuffled together, in memory; rounded up to whole reads of
        every row of the batch. 0: _ROW_SAMPLES samples a row, but at most _WINDOW_STEPS batches.
      chunks_per_read: S, consecutive chunks of a file that are read at once; the fewer, the nearer
        to a uniform shuffle, and the more reads. See `default_chunks_per_read`.

    Raises:
      ConfigError: a field is out of bounds, or a depth of 16 has an odd `chunk_size`.
    """

    chunk_size: int = 2048
    batch_size: int = 128
    depth: int = 8
    downmix: bool = True
    stereo_blocking_n: int = 1024
    seed: int = 42
    shuffle_window: int = 0
    chunks_per_read: int = 8

    def __post_init__(self) -> None:
        require_at_least(self, 1, "chunk_size", "batch_size", "stereo_blocking_n")
        require_at_least(self, 1, "chunks_per_read")
        require_at_least(self, 0, "seed", "shuffle_window")
        if self.depth not in DEPTHS:
            raise ConfigError(f"depth must be one of {DEPTHS}, got {self.depth}")
        if self.depth == 16 and self.chunk_size % 2:
            raise ConfigError(f"a depth of 16 bits needs an even chunk_size, got {self.chunk_size}")

    @property
    def sample_bytes(self) -> int:
        """Bytes of a sample in memory, of type `transforms.sample_dtype`."""
        return {8: 1, 16: 2, 24: 4}[self.depth]

    @property
    def window(self) -> int:
        """K, steps in a shuffle window, a multiple of S, since a window holds whole runs."""
        steps = -(-self.shuffle_window // self.batch_size)
        if not self.shuffle_window:
            steps = min(_WINDOW_STEPS, max(1, _ROW_SAMPLES // self.chunk_size))
        return self.chunks_per_read * -(-steps // self.chunks_per_read)


def default_chunks_per_read(chunk_size: int, *, remote: bool) -> int:
    """Returns how many chunks one read fetches.

    From a disk a read costs as much as a few chunks do otherwise. From a bucket it costs tens of
    milliseconds, in which a quarter of a MiB arrives: 64 chunks of 2048 samples of 16-bit mono.

    Args:
      chunk_size: samples in a chunk.
      remote: whether the files are in a bucket.
    """
    most, samples = (64, 2**17) if remote else (8, 2**14)
    return min(most, max(1, samples // chunk_size))


def demo_dir(output_dir: str) -> str:
    """Returns the folder of the demo corpus: in that of a run, if that is on this machine."""
    name = "demo_corpus"
    return cache_folder(name) if is_remote(output_dir) else os.path.join(output_dir, name)
