"""What decides which symbols a batch holds."""

import dataclasses

# A segment, the run of consecutive chunks that is one read, is about this long: a quarter of a MiB
# of 16-bit mono. Opening a file costs about as much as reading that.
_SEGMENT_SAMPLES = 2**17


@dataclasses.dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """The way from files to batches.

    Attributes:
      chunk_size: L, samples in a chunk.
      batch_size: B, chunks in the global batch, over all hosts and devices.
      use_16bit: symbols are the top 16 bits of a sample (vocabulary 65536), else the top 8 (256).
      downmix: average the channels; else keep them, in blocks.
      stereo_blocking_n: samples of one channel in a block, where channels are kept.
      seed: of the order of chunks.
      shuffle_window: chunks permuted among themselves, at least; rounded up to whole segments.

    Raises:
      ValueError: a field is out of bounds, or `use_16bit` has an odd `chunk_size`.
    """

    chunk_size: int = 2048
    batch_size: int = 128
    use_16bit: bool = False
    downmix: bool = True
    stereo_blocking_n: int = 1024
    seed: int = 42
    shuffle_window: int = 4096

    def __post_init__(self) -> None:
        for name in ("chunk_size", "batch_size", "stereo_blocking_n", "shuffle_window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, got {self.seed}")
        if self.use_16bit and self.chunk_size % 2:
            raise ValueError(f"use_16bit needs an even chunk_size, got {self.chunk_size}")

    @property
    def bits(self) -> int:
        """Bits of a symbol."""
        return 16 if self.use_16bit else 8

    @property
    def segment(self) -> int:
        """S, consecutive chunks read at once."""
        return -(-_SEGMENT_SAMPLES // self.chunk_size)

    @property
    def window(self) -> int:
        """K, steps whose chunks are permuted among themselves: a multiple of `segment`."""
        return self.segment * -(-self.shuffle_window // (self.batch_size * self.segment))
