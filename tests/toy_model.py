"""A model that compiles in no time: how often each symbol comes. V vocabulary."""

from typing import Any

import jax
import jax.numpy as jnp

from models.config import ModelConfig


class Unigram:
    """Stands in for `models.networks.transformer.Transformer`.

    Attributes:
      traces: how often it was traced, which is once a compilation.
    """

    def __init__(self, config: ModelConfig):
        self.config = config
        self.traces = 0

    def apply(
        self, variables: dict[str, Any], symbols: jax.Array, *, method: str
    ) -> jax.Array:  # int [B, L] -> float32 [B, L]
        assert method == "log_likelihood"
        self.traces += 1
        return jax.nn.log_softmax(variables["params"]["logits"])[symbols.astype(jnp.int32)]


def init_params(config: ModelConfig, rng: jax.Array) -> dict[str, Any]:
    """Stands in for `models.networks.transformer.init_params`."""
    return {"params": {"logits": 0.01 * jax.random.normal(rng, (config.vocab_size,))}}
