"""What the symbols before each position say about it, by arithmetic without parameters.

B batch, L symbols in a chunk, V vocabulary, W window, P predictors.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

WINDOW = 16  # a power of two
NUM_PREDICTORS = 4


class PredictionFeatures(NamedTuple):
    """Amplitudes (symbols less V / 2) before each position; all zero at a chunk's beginning.

    Attributes:
      amplitudes: The W amplitudes before the position, nearest first. float32 [B, L, W].
      steps: The W differences of neighbours before the position, nearest first. float32 [B, L, W].
      predictions: The position's amplitude as polynomials of degree -1 (zero) to P - 2 through the
        amplitudes before it extrapolate it: Shorten's and FLAC's fixed predictors.
        float32 [B, L, P].
      errors: Mean absolute error of each predictor over the window. float32 [B, L, P].
    """

    amplitudes: jax.Array
    steps: jax.Array
    predictions: jax.Array
    errors: jax.Array


def extract_features(
    symbols: jax.Array,  # int [B, L]
    vocab_size: int,
) -> PredictionFeatures:
    """Returns the history of each position, which holds nothing of the position itself."""
    margin = WINDOW + NUM_PREDICTORS
    # Before the chunk its first symbol is repeated: known from position 1 on, and no jump.
    signal = jnp.pad(
        symbols.astype(jnp.float32) - vocab_size // 2, ((0, 0), (margin, 0)), mode="edge"
    )
    differences = [signal]
    for _ in range(1, NUM_PREDICTORS):
        differences.append(jnp.diff(differences[-1], prepend=differences[-1][:, :1]))

    # A predictor's errors are the differences one degree above those that it sums up.
    nearest = jnp.stack(differences, -1)
    predictions = jnp.pad(jnp.cumsum(nearest, -1)[..., :-1], ((0, 0), (0, 0), (1, 0)))
    errors = jnp.abs(nearest)
    for shift in (2**i for i in range(WINDOW.bit_length() - 1)):
        errors += jnp.roll(errors, shift, 1)

    def before(x: jax.Array, distance: int = 1) -> jax.Array:
        return x[:, margin - distance : -distance]

    history = PredictionFeatures(
        amplitudes=jnp.stack([before(signal, i + 1) for i in range(WINDOW)], -1),
        steps=jnp.stack([before(differences[1], i + 1) for i in range(WINDOW)], -1),
        predictions=before(predictions),
        errors=before(errors) / WINDOW,
    )
    return jax.tree.map(lambda x: x.at[:, 0].set(0), history)
