"""Attention of one position to cached keys and values: what a decoder needs, who knows no more.

B batch, L samples in a chunk, H heads, K head width, S positions in a block of a cache.

A cache is a number of blocks that are full, or will be, and the one that is being filled. Their
shapes never change, so that one compiled step serves all positions; blocks that lie ahead cost
nothing. The full ones are only read: a step copies none of them.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from models.config import TransformerConfig

_LEAST_BLOCK = 256
_MOST_BLOCKS = 8


class Entries(NamedTuple):
    """The keys and values of S positions, [B, H, K, S] each."""

    keys: jax.Array
    values: jax.Array


class Cache(NamedTuple):
    """What one layer knows of the positions before one.

    Attributes:
      full: blocks of earlier positions, and in their places zeros until there are so many.
      filling: the block that holds the position.
    """

    full: tuple[Entries, ...]
    filling: Entries


def block_size(length: int) -> int:
    """Returns S, for chunks of `length` samples."""
    return min(max(_LEAST_BLOCK, -(-length // _MOST_BLOCKS)), length)


def init_caches(
    config: TransformerConfig, batch: int, length: int, platform: str
) -> tuple[Cache, ...]:
    """Returns the cache of each layer before the first position; the blocks of one are shared."""
    size = block_size(length)
    width = config.embedding_dim // config.num_heads
    # In which `attention.causal_attention` computes.
    dtype = jnp.float32 if platform == "cpu" else jnp.dtype(config.dtype)

    def empty() -> Entries:
        shape = (batch, config.num_heads, width, size)
        return Entries(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

    full = (empty(),) * (-(-length // size) - 1)
    return tuple(Cache(full, empty()) for _ in range(config.num_layers))


def advance_cache(cache: Cache, position: int) -> Cache:
    """Returns the cache for the position after one: where its block is full, with a new one.

    Call it outside of what is compiled.
    """
    size = cache.filling.keys.shape[-1]
    done, rest = divmod(position + 1, size)
    if rest or done > len(cache.full):
        return cache
    full = (*cache.full[: done - 1], cache.filling, *cache.full[done:])
    return Cache(full, Entries(*map(jnp.zeros_like, cache.filling)))


def cached_attention(
    query: jax.Array,  # [B, 1, H, K]
    key: jax.Array,  # [B, 1, H, K]
    value: jax.Array,  # [B, 1, H, K]
    cache: Cache,
    position: jax.Array | int,
) -> tuple[jax.Array, Entries]:
    """Returns what `attention.causal_attention` does of one position, [B, 1, H, K].

    And the block that is being filled, with the position's key and value.
    """
    size = cache.filling.keys.shape[-1]
    done, place = position // size, position % size
    dtype = cache.filling.keys.dtype
    query = query[:, 0].astype(dtype)
    filling = Entries(*map(_put, cache.filling, (key, value), (place, place)))
    sums = _attend(query, filling, jnp.arange(size) <= place)
    for number, block in enumerate(cache.full):
        sums = lax.cond(
            number < done,
            lambda sums, block: tuple(map(jnp.add, sums, _attend(query, block))),
            lambda sums, _: sums,
            sums,
            block,
        )
    output, norm = sums
    return (output / norm[..., None])[:, None].astype(value.dtype), filling


def _put(entries: jax.Array, new: jax.Array, place: jax.Array | int) -> jax.Array:
    """Returns [B, H, K, S] with [B, 1, H, K] at a place."""
    return lax.dynamic_update_slice_in_dim(
        entries, new[:, 0, ..., None].astype(entries.dtype), place, 3
    )


def _attend(
    query: jax.Array,  # [B, H, K]
    block: Entries,
    visible: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Returns the sum of weighted values, [B, H, K], and of the weights, [B, H], in float32."""
    float32 = jnp.float32
    scores = jnp.einsum("bhk,bhks->bhs", query, block.keys, preferred_element_type=float32)
    weights = jnp.exp(scores)
    if visible is not None:
        weights = jnp.where(visible, weights, 0)
    weighted = weights.astype(block.values.dtype)
    values = jnp.einsum("bhs,bhks->bhk", weighted, block.values, preferred_element_type=float32)
    return values, weights.sum(-1)
