"""What decides which samples a batch holds."""

import dataclasses

from runtime.errors import ConfigError, require_at_least

DEPTHS = (8, 16)


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
      shuffle_window: chunks in a shuffle window, rounded up to whole runs: the larger, the nearer
        to a uniform shuffle, and the more memory.
      run_samples: samples in a run, the consecutive chunks fetched by one read; rounded up to whole
        chunks. The default is 256 KiB of 16-bit mono: opening a file costs as much as reading that.

    Raises:
      ConfigError: a field is out of bounds, or a depth of 16 has an odd `chunk_size`.
    """

    chunk_size: int = 2048
    batch_size: int = 128
    depth: int = 8
    downmix: bool = True
    stereo_blocking_n: int = 1024
    seed: int = 42
    shuffle_window: int = 4096
    run_samples: int = 2**17

    def __post_init__(self) -> None:
        require_at_least(self, 1, "chunk_size", "batch_size", "stereo_blocking_n")
        require_at_least(self, 1, "shuffle_window", "run_samples")
        require_at_least(self, 0, "seed")
        if self.depth not in DEPTHS:
            raise ConfigError(f"depth must be one of {DEPTHS}, got {self.depth}")
        if self.depth == 16 and self.chunk_size % 2:
            raise ConfigError(f"a depth of 16 bits needs an even chunk_size, got {self.chunk_size}")

    @property
    def run_length(self) -> int:
        """S, chunks in a run."""
        return -(-self.run_samples // self.chunk_size)

    @property
    def window(self) -> int:
        """K, steps in a shuffle window, a multiple of `run_length`: a window holds whole runs."""
        return self.run_length * -(-self.shuffle_window // (self.batch_size * self.run_length))
