"""A decoder-only transformer: embeddings in, hidden states out.

`docs/explanation/experiments_network.md` lists what was tried and how it changed bits per sample.

B batch, L samples in a chunk, E embedding, H heads, K head width.
"""

import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import TransformerConfig
from models.networks import attention
from models.networks.cache import Cache, Entries, cached_attention


class Block(nn.Module):
    """A pre-norm block: attention and a feed-forward layer, each with a residual connection."""

    config: TransformerConfig
    platform: str

    @nn.compact
    def __call__(
        self,
        x: jax.Array,  # [B, L, E]
        cache: Cache | None = None,
        position: jax.Array | int = 0,
    ) -> Any:
        """Goes through whole chunks or, with a cache, through one position of them.

        Args:
          x: of whole chunks, or with L = 1 of one position.
          cache: of the positions before it.
          position: which it is.

        Returns:
          [B, L, E]; with a cache also what of it has changed.
        """
        config, dtype = self.config, jnp.dtype(self.config.dtype)
        qkv = nn.Dense(3 * config.embedding_dim, use_bias=False, dtype=dtype, name="qkv")(
            nn.RMSNorm(dtype=dtype, name="attention_norm")(x)
        )
        heads = (*x.shape[:2], config.num_heads, config.embedding_dim // config.num_heads)
        query, key, value = (part.reshape(heads) for part in jnp.split(qkv, 3, -1))
        # With queries and keys of length 1 the scale bounds the scores, as `attention` requires.
        scale = self.param("logit_scale", nn.initializers.constant(3.0), (config.num_heads,))
        scale = jnp.clip(scale[:, None], -attention.MAX_SCORE, attention.MAX_SCORE).astype(dtype)
        query = apply_rope(l2_normalize(query) * scale, position)
        key = apply_rope(l2_normalize(key), position)
        filling = None
        if cache is None:
            attended = attention.causal_attention(query, key, value, platform=self.platform)
        else:
            attended, filling = cached_attention(query, key, value, cache, position)
        x += nn.Dense(config.embedding_dim, use_bias=False, dtype=dtype, name="attention_out")(
            attended.reshape(x.shape)
        )
        # SwiGLU (Shazeer 2020, arXiv:2002.05202): gates and values share the width of the layer.
        half = (config.widening_factor * config.embedding_dim + 1) // 2
        gates_and_values = nn.Dense(2 * half, dtype=dtype, name="mlp_in")(
            nn.RMSNorm(dtype=dtype, name="mlp_norm")(x)
        )
        gates, values = jnp.split(gates_and_values, 2, -1)
        x += nn.Dense(config.embedding_dim, dtype=dtype, name="mlp_out")(nn.silu(gates) * values)
        return x if cache is None else (x, filling)


class Transformer(nn.Module):
    """A stack of blocks and a final normalisation.

    Attributes:
      config: its dimensions.
      platform: what it will run on; see `attention.causal_attention`.
    """

    config: TransformerConfig
    platform: str

    def setup(self) -> None:
        # Keeps only the outputs of attention for the backward pass and recomputes the rest. (In a
        # loop XLA cannot merge it with what was computed before, so nothing has to prevent that.)
        policy = jax.checkpoint_policies.save_only_these_names(attention.SAVED)
        self.blocks = nn.remat(Block, policy=policy, prevent_cse=False)(self.config, self.platform)
        self.norm = nn.RMSNorm(dtype=jnp.dtype(self.config.dtype))

    def __call__(self, x: jax.Array) -> jax.Array:  # [B, L, E] -> [B, L, E]
        # A scan compiles one block, whatever their number; their parameters are stacked.
        stack = nn.scan(
            lambda block, x, _: (block(x), None),
            variable_axes={"params": 0},
            split_rngs={"params": True},
            length=self.config.num_layers,
        )
        return self.norm(stack(self.blocks, x, None)[0])

    def step(
        self,
        x: jax.Array,  # [B, 1, E]
        layers: Sequence[Any],
        caches: Sequence[Cache],
        position: jax.Array,
    ) -> tuple[jax.Array, list[Entries]]:
        """Goes through one position of chunks; `__call__` does the same of all.

        Args:
          x: its embedding.
          layers: parameters of each block, see `step_params`.
          caches: of each layer, of the positions before it.
          position: which it is.

        Returns:
          [B, 1, E], and what has changed of each cache.
        """
        # Written out, not a scan, which would copy the caches at each step.
        fillings = []
        for params, cache in zip(layers, caches, strict=True):
            block = Block(self.config, self.platform, parent=None)
            result: Any = block.apply({"params": params}, x, cache, position)
            x, filling = result
            fillings.append(filling)
        return self.norm(x), fillings


def step_params(params: Any) -> Any:
    """Returns a model's parameters for `apply_step`: those of each block by themselves, too."""
    stacked = params["network"]["blocks"]
    count = len(jax.tree.leaves(stacked)[0])
    layers = [jax.tree.map(operator.itemgetter(i), stacked) for i in range(count)]
    return {"params": params, "layers": layers}


def apply_step(
    network: nn.Module, params: Any, inputs: Any, caches: Sequence[Cache], position: jax.Array
) -> Any:
    """Applies a network's method `step`.

    Args:
      network: a model's, whose method goes through one position.
      params: what `step_params` returns.
      inputs: of one position.
      caches: of each layer.
      position: which it is.
    """
    arguments = (inputs, params["layers"], caches, position)
    return network.apply({"params": params["params"]}, *arguments, method="step")


def l2_normalize(x: jax.Array) -> jax.Array:
    """Returns x scaled to Euclidean length 1 along its last axis."""
    return x * jax.lax.rsqrt(jnp.sum(x * x, -1, keepdims=True) + 1e-6)


def apply_rope(
    x: jax.Array,  # [B, L, H, K]
    start: jax.Array | int = 0,
) -> jax.Array:  # [B, L, H, K]
    """Returns x with rotary position embeddings (RoPE, Su et al. 2021, arXiv:2104.09864).

    Pairs of features are rotated by an angle proportional to the position, so that scores depend on
    distances only. If K is odd, the last feature is not rotated. The first position is `start`.
    """
    length, pairs = x.shape[1], x.shape[3] // 2
    frequencies = 10_000.0 ** (-jnp.arange(pairs) / max(pairs, 1))
    angles = ((start + jnp.arange(length))[:, None] * frequencies)[:, None, :]
    cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
    left, right, rest = jnp.split(x, [pairs, 2 * pairs], -1)
    return jnp.concatenate([left * cos - right * sin, right * cos + left * sin, rest], -1)
