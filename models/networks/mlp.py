"""A perceptron over the features of each sample.

F features, H width.
"""

import jax
from flax import linen as nn

from models.config import MlpConfig


class Mlp(nn.Module):
    """Rectified layers, the same for every sample: the position plays no part."""

    config: MlpConfig

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:  # [..., F] -> [..., H]
        hidden = features
        for layer in range(self.config.num_layers):
            dense = nn.Dense(
                self.config.width,
                # Accelerators multiply float32 in fewer bits unless told otherwise.
                precision="highest",
                kernel_init=nn.initializers.he_normal(),
                name=f"layer_{layer}",
            )
            hidden = nn.relu(dense(hidden))
        return hidden
