"""What the network reads at each position: the symbols before it, as an embedding.

In bits per sample, 8-bit / 16-bit, measured as in `distributions` but with two logistics a
predictor:

- these features: 1.726 / 7.838; with an embedding of the previous symbol besides: 1.726 / 7.824
- the embedding, amplitudes, but no differences and errors: 1.790 / 7.972
- no amplitudes: 1.755 / 7.837

B batch, L symbols in a chunk, V vocabulary, E embedding.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import ModelConfig
from models.predictors.fixed import PredictionFeatures


class FeatureEmbedding(nn.Module):
    """Embeds the history of each position; the beginning of a chunk is an embedding of its own."""

    config: ModelConfig

    @nn.compact
    def __call__(self, history: PredictionFeatures) -> jax.Array:  # [B, L] each -> [B, L, E]
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        half = config.vocab_size // 2
        amplitudes = history.amplitudes / half
        errors = history.errors + 0.25
        features = [
            amplitudes,
            # Companded as in mu-law, else quiet passages would all look alike.
            jnp.sign(amplitudes) * jnp.log1p(255 * jnp.abs(amplitudes)) / jnp.log(256.0),
            history.steps / errors[..., 1:2],
            history.predictions[..., 1:2] / half,
            jnp.log(errors) / 5,
        ]
        x = nn.Dense(config.embedding_dim, dtype=dtype, name="features")(
            jnp.concatenate(features, -1)
        )
        begin = self.param("begin", nn.initializers.normal(1.0), (config.embedding_dim,))
        return x.at[:, 0].set(begin.astype(dtype))
