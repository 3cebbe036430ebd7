"""The shape of a model."""

import dataclasses

VOCAB_SIZES = (256, 65536)
DTYPES = ("float32", "bfloat16")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Everything that decides which parameters a model has and how it computes.

    Attributes:
      vocab_size: 256 (8-bit symbols) or 65536 (16-bit symbols).
      embedding_dim: Width of the residual stream.
      num_layers: Number of transformer blocks.
      num_heads: Attention heads a block; each is `embedding_dim / num_heads` wide.
      widening_factor: Width of the feed-forward layer, half of it gates, in units of
        `embedding_dim`.
      dtype: Type of the computation; parameters and log-probabilities are always float32.

    Raises:
      ValueError: A field is out of bounds, or two fields do not fit together.
    """

    vocab_size: int = 256
    embedding_dim: int = 64
    num_layers: int = 4
    num_heads: int = 8
    widening_factor: int = 4
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.vocab_size not in VOCAB_SIZES:
            raise ValueError(f"vocab_size is {self.vocab_size}; it must be one of {VOCAB_SIZES}.")
        for name in ("embedding_dim", "num_layers", "num_heads", "widening_factor"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.embedding_dim % self.num_heads:
            raise ValueError(
                f"embedding_dim is {self.embedding_dim}; it must be a multiple of num_heads, "
                f"which is {self.num_heads}."
            )
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; it must be one of {DTYPES}.")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.embedding_dim // self.num_heads
