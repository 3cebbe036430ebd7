"""Causal attention in memory linear in the length, fast where heads are narrow.

The scores are computed block by block, forward and again backward (Dao et al. 2022,
arXiv:2205.14135). Because the caller bounds them, `exp` needs no maximum subtracted, and the
blocks of a row simply add up.

B batch, L symbols in a chunk, H heads, K head width, Q queries and J keys in a block.
"""

from collections.abc import Callable
import functools

import jax
from jax import lax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp
import numpy as np

MAX_SCORE = 60.0
SAVED = "attention"

_QUERY_BLOCK = 256
_Tree = tuple[jax.Array, ...]


def causal_attention(
    query: jax.Array,  # [B, L, H, K]
    key: jax.Array,  # [B, L, H, K]
    value: jax.Array,  # [B, L, H, K]
) -> jax.Array:  # [B, L, H, K]
    """Returns softmax(query key^T) value, each position seeing itself and those before it.

    The inner products of queries and keys must lie within +-MAX_SCORE, or `exp` overflows. Under
    `jax.checkpoint`, saving the residuals named `SAVED` spares the second forward pass.
    """
    length = query.shape[1]
    keys_block = 2 * min(_QUERY_BLOCK, length)
    # Keys of the padding come after every query, so causality alone hides them.
    padding = ((0, 0), (0, -length % keys_block), (0, 0), (0, 0))
    heads = [jnp.pad(x, padding).swapaxes(1, 2) for x in (query, key, value)]
    return _attention(*heads).swapaxes(1, 2)[:, :length]


@jax.custom_vjp
def _attention(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
    return _each_head(_forward_head, (query, key, value))[0]


def _forward(*inputs: jax.Array) -> tuple[jax.Array, _Tree]:
    output, log_norm = (checkpoint_name(x, SAVED) for x in _each_head(_forward_head, inputs))
    return output, (*inputs, output, log_norm)


def _backward(residuals: _Tree, gradient: jax.Array) -> _Tree:
    return _each_head(_backward_head, (*residuals, gradient))


_attention.defvjp(_forward, _backward)


def _each_head(function: Callable[..., _Tree], heads: _Tree) -> _Tree:
    """Maps a function of [L, K] arrays over [B, H, L, K] arrays.

    One after the other on a CPU, where a block of scores must fit the cache; all at once elsewhere.
    """
    if jax.default_backend() != "cpu":
        return jax.vmap(jax.vmap(function))(*heads)
    flat = [x.reshape(-1, *x.shape[2:]) for x in heads]
    shape = heads[0].shape[:2]
    return tuple(
        x.reshape(*shape, *x.shape[1:]) for x in lax.map(lambda args: function(*args), flat)
    )


def _forward_head(query: jax.Array, key: jax.Array, value: jax.Array) -> _Tree:
    """Returns a head's output [L, K] and the logarithm of its softmax's denominators [L, 1]."""
    length = len(query)

    def step(sums: _Tree, start: jax.Array) -> tuple[_Tree, None]:
        rows, cols = _slicers(start, length)
        weights = jnp.where(_visible(start, length), jnp.exp(_dot(rows(query), cols(key).T)), 0)
        output, norm = sums
        output = _add(output, start[0], _dot(weights.astype(value.dtype), cols(value)))
        return (output, _add(norm, start[0], weights.sum(1, keepdims=True))), None

    zeros = jnp.zeros(value.shape), jnp.zeros((length, 1))
    (output, norm), _ = lax.scan(step, zeros, _block_starts(length))
    return (output / norm).astype(value.dtype), jnp.log(norm)


def _backward_head(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    output: jax.Array,
    log_norm: jax.Array,
    gradient: jax.Array,
) -> _Tree:
    """Returns the gradients of a head's queries, keys and values, each [L, K]."""
    length = len(query)
    mean = (output.astype(jnp.float32) * gradient).sum(1, keepdims=True)

    def step(sums: _Tree, start: jax.Array) -> tuple[_Tree, None]:
        rows, cols = _slicers(start, length)
        # Scores are [J, Q] here: two of the three products then need no transposition.
        scores = _dot(cols(key), rows(query).T) - rows(log_norm).T
        weights = jnp.where(_visible(start, length).T, jnp.exp(scores), 0)
        slopes = weights * (_dot(cols(value), rows(gradient).T) - rows(mean).T)
        weights, slopes = weights.astype(query.dtype), slopes.astype(query.dtype)
        d_query, d_key, d_value = sums
        return (
            _add(d_query, start[0], _dot(slopes.T, cols(key))),
            _add(d_key, start[1], _dot(slopes, rows(query))),
            _add(d_value, start[1], _dot(weights, rows(gradient))),
        ), None

    sums, _ = lax.scan(step, (jnp.zeros(query.shape),) * 3, _block_starts(length))
    return tuple(x.astype(query.dtype) for x in sums)


def _block_shape(length: int) -> tuple[int, int]:
    """Returns how many queries and keys a block of scores has."""
    keys = min(2 * _QUERY_BLOCK, length)
    return keys // 2, keys


def _block_starts(length: int) -> np.ndarray:
    """Returns the first query and key of every block that holds a visible score: int32 [n, 2]."""
    queries, keys = _block_shape(length)
    return np.array(
        [
            (query, key)
            for query in range(0, length, queries)
            for key in range(0, query + queries, keys)
        ],
        np.int32,
    )


def _visible(start: jax.Array, length: int) -> jax.Array:
    """Returns which scores of a block belong to a key not after its query: bool [Q, J]."""
    queries, keys = _block_shape(length)
    return start[0] + jnp.arange(queries)[:, None] >= start[1] + jnp.arange(keys)


def _slicers(start: jax.Array, length: int) -> list[Callable[[jax.Array], jax.Array]]:
    """Returns two functions that cut a block's queries, or keys, out of [L, ...]."""

    def slicer(start: jax.Array, size: int) -> Callable[[jax.Array], jax.Array]:
        return lambda x: lax.dynamic_slice_in_dim(x, start, size)

    return [slicer(*block) for block in zip(start, _block_shape(length), strict=True)]


def _add(total: jax.Array, start: jax.Array, part: jax.Array) -> jax.Array:
    """Returns total [L, ...] with part [n, ...] added to its rows from `start` on."""
    part += lax.dynamic_slice_in_dim(total, start, len(part))
    return lax.dynamic_update_slice_in_dim(total, part, start, 0)


_dot = functools.partial(jnp.dot, preferred_element_type=jnp.float32)
