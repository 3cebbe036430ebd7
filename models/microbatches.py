"""A batch in microbatches, one after the other: bounds the memory of activations.

What a batch needs of it does not grow with the batch, training included: the gradient of a
microbatch is added up before the next one is computed (gradient accumulation).

B chunks in a batch, L samples in a chunk, N microbatches, M chunks in one.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# What an accelerator computes at once: samples to keep it busy, but of hidden states [M, L, E] no
# more than is fast. docs/reference/tpu_compile.md has what other numbers take on a TPU. An H200
# would train a quarter fewer samples a second with those of a TPU, in bfloat16
# (`benchmarks/accelerator_speed.py`).
_AT_ONCE = {"tpu": (2**15, 2**23), "gpu": (2**17, 2**25)}  # samples, elements of hidden states


def suitable_size(platform: str, length: int, embedding_dim: int) -> int:
    """Returns how many chunks of L samples a transformer should compute at once on a platform."""
    if platform == "cpu":
        return 1  # What fits its cache is best.
    samples, elements = _AT_ONCE[platform]
    return max(1, min(samples, elements // embedding_dim) // length)


def map_microbatches(function: Callable[[Any], Any], batch: Any, size: int | None) -> Any:
    """Returns what a function returns of a batch.

    Args:
      function: from a tree of arrays [M, ...] to another, chunk by chunk.
      batch: a tree of arrays [B, ...].
      size: the largest M; None: the batch.

    Returns:
      A tree of arrays [B, ...].
    """
    parts = _split(batch, size)
    if len(jax.tree.leaves(parts)[0]) == 1:
        return function(batch)
    rows = len(jax.tree.leaves(batch)[0])
    results = jax.lax.map(function, parts)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:rows], results)


def sum_microbatches(function: Callable[[Any], Any], batch: Any, size: int | None) -> Any:
    """Returns the sum of what a function returns of each microbatch: of gradients, for example.

    The last microbatch may have chunks of padding, all ones: the function must give them no weight.

    Args:
      function: from a tree of arrays [M, ...] to a tree of arrays of any shapes.
      batch: a tree of arrays [B, ...].
      size: the largest M; None: the batch.
    """
    parts = _split(batch, size)
    if len(jax.tree.leaves(parts)[0]) == 1:
        return function(batch)

    traced = jax.jit(function)  # Traced once, though called twice.

    def add(total: Any, part: Any) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, total, traced(part)), None

    shapes = jax.eval_shape(traced, jax.tree.map(lambda x: x[0], parts))
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    return jax.lax.scan(add, zeros, parts)[0]


def _split(batch: Any, size: int | None) -> Any:
    """[B, ...] -> [N, M, ...], as even as can be, the last one padded."""
    rows = len(jax.tree.leaves(batch)[0])
    count = -(-rows // (size or rows))

    def split(x: jax.Array) -> jax.Array:
        # Not with zeros, which may be no scale.
        padding = [(0, -rows % count), *((0, 0) for _ in x.shape[1:])]
        return jnp.pad(x, padding, constant_values=1).reshape(count, -1, *x.shape[1:])

    return jax.tree.map(split, batch)
