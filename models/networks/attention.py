"""Causal attention in memory linear in the length, fast for narrow heads, also on CPUs.

The scores are computed block by block, and again in the backward pass (FlashAttention, Dao et al.
2022, arXiv:2205.14135). Since the caller bounds the scores, `exp` needs no running maximum, and the
blocks of a row are simply added up.

B batch, L samples in a chunk, H heads, K head width, Q queries and J keys in a block.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.ad_checkpoint import checkpoint_name

MAX_SCORE = 60.0  # exp(60) times a length of 10^11 still fits float32
SAVED = "attention"  # name of the residuals, for a policy of jax.checkpoint

_BLOCK = 256  # queries or keys; a block of scores in float32, 256 KiB, fits the cache of a core
_Arrays = tuple[jax.Array, ...]
_Pair = tuple[jax.Array, jax.Array]
_Triple = tuple[jax.Array, jax.Array, jax.Array]


def causal_attention(
    query: jax.Array,  # [B, L, H, K]
    key: jax.Array,  # [B, L, H, K]
    value: jax.Array,  # [B, L, H, K]
    *,
    platform: str,
) -> jax.Array:  # [B, L, H, K]
    """Returns softmax(query key^T) value, each position attending to itself and earlier ones.

    Under `jax.checkpoint`, saving the residuals named `SAVED` avoids a second forward pass.

    Args:
      query: with the keys, their inner products must lie within +-MAX_SCORE, or `exp` overflows.
      key: see `query`.
      value: what is averaged.
      platform: what this will run on, "cpu", "gpu" or "tpu". On a CPU heads are computed one after
        the other, since a block of scores must fit the cache, and in float32, since XLA lacks some
        products of bfloat16 with float32 accumulation there.
    """
    length = query.shape[1]
    # Padded keys come after every query, so the causal mask hides them.
    padding = ((0, 0), (0, -length % min(_BLOCK, length)), (0, 0), (0, 0))
    sequential = platform == "cpu"
    dtype = jnp.float32 if sequential else value.dtype
    heads = [jnp.pad(x, padding).swapaxes(1, 2).astype(dtype) for x in (query, key, value)]
    return _attention(sequential, *heads).swapaxes(1, 2)[:, :length].astype(value.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attention(sequential: bool, query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    return _map_heads(_forward_head, (query, key, value), sequential)[0]


def _forward(sequential: bool, *inputs: jax.Array) -> tuple[jax.Array, _Arrays]:
    outputs = _map_heads(_forward_head, inputs, sequential)
    output, log_norm = (checkpoint_name(x, SAVED) for x in outputs)
    return output, (*inputs, output, log_norm)


def _backward(sequential: bool, residuals: _Arrays, gradient: jax.Array) -> _Arrays:
    return _map_heads(_backward_head, (*residuals, gradient), sequential)


_attention.defvjp(_forward, _backward)


def _map_heads(function: Callable[..., _Arrays], heads: _Arrays, sequential: bool) -> _Arrays:
    """Maps a function of [L, K] arrays over [B, H, L, K] arrays, one after the other or at once."""
    if not sequential:
        return jax.vmap(jax.vmap(function))(*heads)
    flat = [x.reshape(-1, *x.shape[2:]) for x in heads]
    shape = heads[0].shape[:2]
    return tuple(
        x.reshape(*shape, *x.shape[1:]) for x in lax.map(lambda args: function(*args), flat)
    )


# A CPU multiplies blocks of scores fast only as they lie in memory: [J, Q] times [Q, K], or [K, J]
# times [J, Q]; transposing a block costs seven products. So heads come in both layouts, [L, K] and
# [K, L] (named _t), each made once outside the loop.


def _forward_head(query: jax.Array, key: jax.Array, value: jax.Array) -> _Arrays:
    """Returns a head's output [L, K] and the logarithm of its softmax's denominators [L]."""
    length = len(query)
    starts, query = _block_starts(query)
    query_t, value_t = query.T, value.T

    def step(sums: _Pair, start: jax.Array) -> tuple[_Pair, None]:
        queries, keys = _ranges(start, length)
        scores = _dot(keys(key), queries(query_t, axis=1))
        weights = jnp.where(_visible(start, length), jnp.exp(scores), 0)
        output_t, norm = sums
        product_t = _dot(keys(value_t, axis=1), weights.astype(value.dtype))
        output_t = _add(output_t, start[0], product_t)
        return (output_t, _add(norm, start[0], weights.sum(0))), None

    zeros = jnp.zeros(value_t.shape), jnp.zeros(length)
    (output_t, norm), _ = lax.scan(step, zeros, starts)
    return (output_t / norm).T.astype(value.dtype), jnp.log(norm)


def _backward_head(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    output: jax.Array,
    log_norm: jax.Array,
    gradient: jax.Array,
) -> _Arrays:
    """Returns the gradients of a head's queries, keys and values, each [L, K]."""
    length = len(query)
    starts, query = _block_starts(query)
    query_t, key_t, gradient_t = query.T, key.T, gradient.T
    mean = (output.astype(jnp.float32) * gradient).sum(1)

    def step(sums: _Triple, start: jax.Array) -> tuple[_Triple, None]:
        queries, keys = _ranges(start, length)
        scores = _dot(keys(key), queries(query_t, axis=1)) - queries(log_norm)
        weights = jnp.where(_visible(start, length), jnp.exp(scores), 0)
        slopes = weights * (_dot(keys(value), queries(gradient_t, axis=1)) - queries(mean))
        weights, slopes = weights.astype(query.dtype), slopes.astype(query.dtype)
        d_query_t, d_key, d_value = sums
        return (
            _add(d_query_t, start[0], _dot(keys(key_t, axis=1), slopes)),
            _add(d_key, start[1], _dot(slopes, queries(query)), axis=0),
            _add(d_value, start[1], _dot(weights, queries(gradient)), axis=0),
        ), None

    zeros = jnp.zeros(query_t.shape), jnp.zeros(key.shape), jnp.zeros(value.shape)
    (d_query_t, *d_rest), _ = lax.scan(step, zeros, starts)
    return tuple(x.astype(query.dtype) for x in (d_query_t.T, *d_rest))


def _block_starts(queries: jax.Array) -> _Pair:
    """Returns the first query and key of every block that holds a visible score: int32 [n, 2].

    Beside it the queries, unchanged. The barrier ties one to the other: masks of constants alone
    JAX computes ahead of the loop, those of all blocks, and keeps them: [n, B, H, J, Q] on a TPU.
    """
    firsts = range(0, len(queries), _BLOCK)
    starts = jnp.array([(query, key) for query in firsts for key in firsts if key <= query])
    return lax.optimization_barrier((starts, queries))


def _visible(start: jax.Array, length: int) -> jax.Array:
    """Returns which scores of a block belong to a key not after its query: bool [J, Q]."""
    offsets = jnp.arange(min(_BLOCK, length))
    return start[1] + offsets[:, None] <= start[0] + offsets


def _ranges(start: jax.Array, length: int) -> list[Callable[..., jax.Array]]:
    """Returns two functions of an array and an axis that slice out a block's queries, or keys."""
    take = functools.partial(lax.dynamic_slice_in_dim, slice_size=min(_BLOCK, length))
    return [functools.partial(take, start_index=first) for first in start]


def _add(total: jax.Array, start: jax.Array, part: jax.Array, axis: int = -1) -> jax.Array:
    """Returns total with part added from `start` on along an axis."""
    part += lax.dynamic_slice_in_dim(total, start, part.shape[axis], axis)
    return lax.dynamic_update_slice_in_dim(total, part, start, axis)


_dot = functools.partial(jnp.dot, preferred_element_type=jnp.float32)
