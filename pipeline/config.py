"""What decides which samples a batch holds."""

import dataclasses

from runtime.errors import ConfigError

DEPTHS = (8, 16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """The way from files to batches.

    Attributes:
      chunk_size: L, samples in a chunk.
      batch_size: B, chunks in the global batch, over all hosts and devices.
      depth: bits of a sample, one of DEPTHS: the top ones of the source's.
      downmix: average the channels; else keep them, in blocks.
      stereo_blocking_n: samples of one channel in a block, where channels are kept.
      seed: random seed of the order of chunks.
      shuffle_window: chunks permuted among themselves, at least; rounded up to whole runs.
      run_samples: samples in a run of consecutive chunks, which is one read, about: by default a
        quarter of a MiB of 16-bit mono. (Opening a file costs as much as reading that.)

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
        for name in (
            "chunk_size",
            "batch_size",
            "stereo_blocking_n",
            "shuffle_window",
            "run_samples",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigError(f"seed must be at least 0, got {self.seed}")
        if self.depth not in DEPTHS:
            raise ConfigError(f"depth must be one of {DEPTHS}, got {self.depth}")
        if self.depth == 16 and self.chunk_size % 2:
            raise ConfigError(f"a depth of 16 bits needs an even chunk_size, got {self.chunk_size}")

    @property
    def run_length(self) -> int:
        """S, consecutive chunks read at once."""
        return -(-self.run_samples // self.chunk_size)

    @property
    def window(self) -> int:
        """K, steps whose chunks are permuted among themselves: a multiple of `run_length`."""
        return self.run_length * -(-self.shuffle_window // (self.batch_size * self.run_length))
