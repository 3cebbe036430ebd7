"""What the network reads at each position: the symbols before it, as an embedding.

B batch, L symbols in a chunk, V vocabulary, E embedding.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from models.config import ModelConfig
from models.history import History


class Inputs(nn.Module):
    """Embeds the history of each position; the beginning of a chunk is an embedding of its own."""

    config: ModelConfig

    @nn.compact
    def __call__(self, history: History) -> jax.Array:  # [B, L] each -> [B, L, E]
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
