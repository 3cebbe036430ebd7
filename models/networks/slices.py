"""A batch in slices, one after the other: bounds the memory of activations.

B batch, L samples in a chunk.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

# What an accelerator computes at once: samples to keep it busy, but of hidden states [B, L, E] no
# more than is fast. docs/reference/tpu_compile.md has what other numbers take on a TPU. With these
# an H200 would train a quarter fewer samples a second (`benchmarks/accelerator_speed.py`,
# bfloat16).
_AT_ONCE = {"tpu": (2**15, 2**23), "gpu": (2**17, 2**25)}  # samples, elements of hidden states


def positions_at_once(platform: str, embedding_dim: int) -> int:
    """Returns about how many samples, of whole chunks, to compute at once on a platform."""
    if platform == "cpu":
        return 1  # One chunk: what fits its cache is best.
    positions, elements = _AT_ONCE[platform]
    return min(positions, elements // embedding_dim)


def map_slices(
    module: nn.Module, function: Callable[[Any, Any], jax.Array], inputs: Any, positions: int
) -> jax.Array:
    """Applies a function of a module's parameters to a batch, slice by slice.

    Of the slices there remains what the backward pass needs.

    Args:
      module: the module.
      function: from the module and inputs, [b, L, ...] each, to a result [b, ...].
      inputs: a tree of arrays [B, L, ...].
      positions: about how many samples to compute at once, of one chunk at least.

    Returns:
      The results, [B, ...].
    """
    batch, length = jax.tree.leaves(inputs)[0].shape[:2]
    num_slices = -(-batch // max(1, positions // length))

    def split(x: jax.Array) -> jax.Array:
        # As even as can be, the last one padded; not by zeros, which may be no scale.
        padding = [(0, -batch % num_slices), *((0, 0) for _ in x.shape[1:])]
        padded = jnp.pad(x, padding, constant_values=1)
        return padded.reshape(num_slices, -1, *x.shape[1:])

    scan = nn.scan(
        lambda module, carry, part: (carry, function(module, part)),
        variable_broadcast="params",
        split_rngs={"params": False},
    )
    result = scan(module, (), jax.tree.map(split, inputs))[1]
    return result.reshape(-1, *result.shape[2:])[:batch]
