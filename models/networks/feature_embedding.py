"""From the features of each position to the input of a network.

B batch, L samples in a chunk, E embedding.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.predictors.fixed import PredictionFeatures


class FeatureEmbedding(nn.Module):
    """Embeds the features of each position; the first one has a learned embedding of its own.

    Attributes:
      embedding_dim: E.
      depth: bits per sample; full scale is 2^(depth - 1).
      dtype: of the result and the computation.
    """

    embedding_dim: int
    depth: int
    dtype: str

    @nn.compact
    def __call__(
        self,
        features: PredictionFeatures,  # [B, L, ...]
        position: jax.Array | None = None,
    ) -> jax.Array:  # [B, L, E]
        """Embeds whole chunks or, of all chunks, the one position that is named."""
        full_scale, dtype = 2 ** (self.depth - 1), jnp.dtype(self.dtype)
        amplitudes = features.amplitudes / full_scale
        errors = features.errors + 0.25  # In quantization steps: no division by zero in silence.
        inputs = [
            amplitudes,
            # Companded as in mu-law: resolves quiet passages, too.
            jnp.sign(amplitudes) * jnp.log1p(255 * jnp.abs(amplitudes)) / jnp.log(256.0),
            features.differences / errors[..., 1:2],
            features.predictions[..., 1:2] / full_scale,
            jnp.log(errors) / 5,
        ]
        # Accelerators multiply float32 in fewer bits unless told otherwise.
        dense = nn.Dense(self.embedding_dim, dtype=dtype, precision="highest", name="features")
        x = dense(jnp.concatenate(inputs, -1))
        begin = self.param("begin", nn.initializers.normal(1.0), (self.embedding_dim,))
        if position is not None:
            return jnp.where(position == 0, begin.astype(dtype), x)
        return x.at[:, 0].set(begin.astype(dtype))
