"""FLAC's fixed predictors: polynomial predictions of each sample from those before it.

B batch, L samples in a chunk, W window, P predictors, M samples that are known.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from models.config import FixedPredictorsConfig


class PredictionFeatures(NamedTuple):
    """What is known before each sample; all zero at the first one of a chunk.

    Attributes:
      amplitudes: float32 [B, L, W], the W samples before the position, nearest first.
      differences: float32 [B, L, W], the W differences of neighbours before the position, nearest
        first.
      predictions: float32 [B, L, P], extrapolations of the samples before the position by
        polynomials of degree -1 (zero) to P - 2.
      errors: float32 [B, L, P], mean absolute error of each predictor over the window.

    All are in quantization steps, the unit of the samples.
    """

    amplitudes: jax.Array
    differences: jax.Array
    predictions: jax.Array
    errors: jax.Array


def extract_features(
    samples: jax.Array,  # int [B, L]
    config: FixedPredictorsConfig,
) -> PredictionFeatures:
    """Returns the features of each position; they do not depend on the sample at the position."""
    # The first sample is repeated to the left: no jump from zero, and causal, since the features of
    # position 0 are zeroed below.
    padding = ((0, 0), (count_known(config), 0))
    signal = jnp.pad(samples.astype(jnp.float32), padding, mode="edge")
    return jax.tree.map(lambda x: x.at[:, 0].set(0), _features(signal, config))


def count_known(config: FixedPredictorsConfig) -> int:
    """Returns M, how many samples before a position its features depend on."""
    return config.window + config.num_predictors


def next_features(
    known: jax.Array,  # int [B, M]
    config: FixedPredictorsConfig,
) -> PredictionFeatures:  # [B, 1, ...]
    """Returns the features of one position as `extract_features` does.

    Args:
      known: the samples before it, the newest last; before the first sample of a chunk that one is
        repeated, and at the first one all are zero.
      config: as there.
    """
    return _features(jnp.pad(known.astype(jnp.float32), ((0, 0), (0, 1))), config)


def _features(signal: jax.Array, config: FixedPredictorsConfig) -> PredictionFeatures:
    """Returns the features of the positions behind the first M."""
    window, num_predictors = config.window, config.num_predictors
    margin = count_known(config)
    differences = [signal]
    for _ in range(1, num_predictors):
        differences.append(jnp.diff(differences[-1], prepend=differences[-1][:, :1]))

    # The predictor of degree d is the sum of the differences of order 0 to d, and its error is the
    # difference of order d + 1.
    nearest = jnp.stack(differences, -1)
    predictions = jnp.pad(jnp.cumsum(nearest, -1)[..., :-1], ((0, 0), (0, 0), (1, 0)))
    errors = jnp.abs(nearest)
    shifts = [2**i for i in range(window.bit_length() - 1)]
    for shift in shifts:
        # Doubles the window that each entry sums: log2(W) additions.
        errors += jnp.roll(errors, shift, 1)

    def before(x: jax.Array) -> jax.Array:
        return x[:, margin - 1 : -1]

    def last(x: jax.Array) -> jax.Array:
        # Doubled as above: stacked, 2 W slices would be a fifth of what XLA compiles.
        x = x[..., None]
        for shift in shifts:
            x = jnp.concatenate([x, jnp.roll(x, shift, 1)], -1)
        return before(x)

    return PredictionFeatures(
        amplitudes=last(signal),
        differences=last(differences[1]),
        predictions=before(predictions),
        errors=before(errors) / window,
    )
