"""What the symbols before each position say about it, by arithmetic without parameters.

B batch, L symbols in a chunk, V vocabulary, W window, P predictors.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

WINDOW = 16
NUM_PREDICTORS = 4


class History(NamedTuple):
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


def look_back(
    symbols: jax.Array,  # int [B, L]
    vocab_size: int,
) -> History:
    """Returns the history of each position, which holds nothing of the position itself."""
    length = symbols.shape[1]
    margin = WINDOW + NUM_PREDICTORS
    signal = symbols.astype(jnp.float32) - vocab_size // 2
    # Before the chunk its first symbol is repeated: known from position 1 on, and no jump.
    signal = jnp.pad(signal, ((0, 0), (margin, 0)), mode="edge")

    windows = []
    for _ in range(NUM_PREDICTORS):
        start = signal.shape[1] - length
        past = [signal[:, start - i : start - i + length] for i in range(1, WINDOW + 1)]
        windows.append(jnp.stack(past, -1))
        signal = jnp.diff(signal)

    # The error of degree d is the next difference, and it is zero where the prediction is right.
    nearest = jnp.stack([jnp.zeros_like(symbols, jnp.float32)] + [w[..., 0] for w in windows], -1)
    history = History(
        amplitudes=windows[0],
        steps=windows[1],
        predictions=jnp.cumsum(nearest, -1)[..., :NUM_PREDICTORS],
        errors=jnp.stack([jnp.abs(window).mean(-1) for window in windows], -1),
    )
    return jax.tree.map(lambda x: x.at[:, 0].set(0), history)
