"""A decoder-only transformer over audio symbols.

What was kept, and what it changes in bits per sample on eight held-out sets of speech and music,
8-bit / 16-bit (one seed, 3 layers, 150 steps of 8 chunks of 512, Adam at 2e-3; read differences
below 0.01 as none):

- all of it but the gates, with which the rest compares: 1.606 / 7.604
- gated feed-forward (SwiGLU) in two thirds of the weights of a GELU one: 1.590 / 7.593
- no attention: 1.673 / 7.695
- no rotary positions: 1.590 / 7.585, so at this length the windows of `history` and causality say
  enough of the order; kept because positions should not depend on that
- queries and keys not normalised: 1.605 / 7.600; kept for the speed, see `attention`
- normalised after each layer, not before: 1.591 / 7.604

B batch, L symbols in a chunk, V vocabulary, E embedding, H heads, K head width, G group sizes.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import ModelConfig
from models.distributions.logistic_mixture import LogisticMixture
from models.networks import attention
from models.networks.feature_embedding import FeatureEmbedding
from models.predictors.fixed import PredictionFeatures, extract_features


class Block(nn.Module):
    """Attention and a feed-forward layer, each normalised before and added to its input."""

    config: ModelConfig

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # [B, L, E] -> [B, L, E]
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        qkv = nn.Dense(3 * config.embedding_dim, use_bias=False, dtype=dtype, name="qkv")(
            nn.RMSNorm(dtype=dtype, name="attention_norm")(x)
        )
        heads = (*x.shape[:2], config.num_heads, config.head_dim)
        query, key, value = (part.reshape(heads) for part in jnp.split(qkv, 3, -1))
        sharpness = self.param("sharpness", nn.initializers.constant(3.0), (config.num_heads,))
        sharpness = jnp.clip(sharpness[:, None], -attention.MAX_SCORE, attention.MAX_SCORE).astype(
            dtype
        )
        attended = attention.causal_attention(
            apply_rope(l2_normalize(query) * sharpness), apply_rope(l2_normalize(key)), value
        )
        x += nn.Dense(config.embedding_dim, use_bias=False, dtype=dtype, name="attention_out")(
            attended.reshape(x.shape)
        )
        # Gates and values share the width, so that it stays the width of one matrix.
        half = (config.widening_factor * config.embedding_dim + 1) // 2
        wide = nn.Dense(2 * half, dtype=dtype, name="wide")(
            nn.RMSNorm(dtype=dtype, name="feed_forward_norm")(x)
        )
        gates, values = jnp.split(wide, 2, -1)
        return x + nn.Dense(config.embedding_dim, dtype=dtype, name="narrow")(
            nn.silu(gates) * values
        )


def l2_normalize(x: jax.Array) -> jax.Array:
    """Returns x scaled to length 1 along its last axis."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-6)


def apply_rope(x: jax.Array) -> jax.Array:
    """Returns x with pairs of features turned by an angle that grows with the position.

    Rotary positions (Su et al. 2021, arXiv:2104.09864): scores then depend on distances only,
    at any length. x: [B, L, H, K]; where K is odd its last feature stays.
    """
    length, pairs = x.shape[1], x.shape[3] // 2
    frequencies = 10_000.0 ** (-jnp.arange(pairs) / max(pairs, 1))
    angles = (jnp.arange(length)[:, None] * frequencies)[:, None, :]
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    left, right, rest = jnp.split(x, [pairs, 2 * pairs], -1)
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin, rest], -1)


class Transformer(nn.Module):
    """Log-probabilities of each symbol of a chunk given those before it.

    Use through `apply`: `model.apply(params, symbols, method="log_likelihood")`.
    """

    config: ModelConfig

    def setup(self) -> None:
        policy = jax.checkpoint_policies.save_only_these_names(attention.SAVED)
        self.inputs = FeatureEmbedding(self.config)
        self.blocks = [
            nn.remat(Block, policy=policy)(self.config) for _ in range(self.config.num_layers)
        ]
        self.norm = nn.RMSNorm(dtype=jnp.dtype(self.config.dtype))
        self.distribution = LogisticMixture(self.config)

    def log_likelihood(self, symbols: jax.Array) -> jax.Array:
        """Returns each symbol's log-probability in nats: int [B, L] -> float32 [B, L].

        Memory for activations is that of a few sequences, whatever B is.
        """
        return self.log_likelihoods(symbols, (1,))[..., 0]

    def log_likelihoods(self, symbols: jax.Array, group_sizes: Sequence[int]) -> jax.Array:
        """Returns the log-probability, in nats, of the group that each symbol belongs to.

        Groups are neighbours: of size 1 the symbol itself, of size 256 all that share its upper
        byte, which tells what the upper and the lower byte of a 16-bit symbol cost.
        int [B, L] -> float32 [B, L, G]; a group size divides V.
        """

        def step(self: Transformer, carry: tuple, symbols: jax.Array) -> tuple:
            read = self._read(symbols)
            return carry, self.distribution.log_likelihood(*read, symbols, group_sizes)

        scan = nn.scan(step, variable_broadcast="params", split_rngs={"params": False})
        _check(symbols)
        batch, length = symbols.shape
        at_once = math.gcd(batch, _sequences_at_once())
        groups = symbols.astype(jnp.int32).reshape(-1, at_once, length)
        return scan(self, (), groups)[1].reshape(batch, length, len(group_sizes))

    def log_probs(self, symbols: jax.Array) -> jax.Array:
        """Returns the log-probabilities of all V symbols: int [B, L] -> float32 [B, L, V].

        For short stretches, to be looked at or coded: it takes several V floats a symbol.
        """
        _check(symbols)
        return self.distribution.log_probs(*self._read(symbols.astype(jnp.int32)))

    def _read(self, symbols: jax.Array) -> tuple[jax.Array, PredictionFeatures]:
        history = extract_features(symbols, self.config.vocab_size)
        x = self.inputs(history)
        for block in self.blocks:
            x = block(x)
        return self.norm(x), history


def _check(symbols: jax.Array) -> None:
    """Refuses amplitudes and single chunks, which would give a plausible wrong answer or none."""
    if symbols.ndim != 2 or not jnp.issubdtype(symbols.dtype, jnp.integer):
        raise ValueError(
            f"symbols must be integers [B, L], from 0 to vocab_size - 1; got {symbols.dtype} "
            f"{list(symbols.shape)}"
        )


def init_params(config: ModelConfig, rng: jax.Array) -> dict[str, Any]:
    """Returns fresh variables `{"params": ...}` for `Transformer(config).apply`."""
    init = functools.partial(Transformer(config).init, method="log_likelihood")
    return jax.jit(init)(rng, jnp.zeros((1, 1), jnp.int32))


def _sequences_at_once() -> int:
    """Returns how many sequences share a pass: on a CPU one fits the cache best."""
    return 1 if jax.default_backend() == "cpu" else 16
