"""FLAC's fixed predictors: what the samples before each one say about it, without any training.

B batch, L samples in a chunk, W window, P predictors.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from models.config import FixedPredictorsConfig


class PredictionFeatures(NamedTuple):
    """What is known before each sample; all zero at a chunk's beginning.

    Attributes:
      amplitudes: The W samples before the position, nearest first. float32 [B, L, W].
      steps: The W differences of neighbours before the position, nearest first. float32 [B, L, W].
      predictions: The sample as polynomials of degree -1 (zero) to P - 2 through the samples before
        it extrapolate it: Shorten's and FLAC's fixed predictors. float32 [B, L, P].
      errors: Mean absolute error of each predictor over the window. float32 [B, L, P].
    """

    amplitudes: jax.Array
    steps: jax.Array
    predictions: jax.Array
    errors: jax.Array


def extract_features(
    samples: jax.Array,  # int [B, L]
    config: FixedPredictorsConfig,
) -> PredictionFeatures:
    """Returns the features of each position, which hold nothing of the sample itself."""
    window, num_predictors = config.window, config.num_predictors
    margin = window + num_predictors
    # Before the chunk its first sample is repeated: known from position 1 on, and no jump.
    signal = jnp.pad(samples.astype(jnp.float32), ((0, 0), (margin, 0)), mode="edge")
    differences = [signal]
    for _ in range(1, num_predictors):
        differences.append(jnp.diff(differences[-1], prepend=differences[-1][:, :1]))

    # A predictor's errors are the differences one degree above those that it sums up.
    nearest = jnp.stack(differences, -1)
    predictions = jnp.pad(jnp.cumsum(nearest, -1)[..., :-1], ((0, 0), (0, 0), (1, 0)))
    errors = jnp.abs(nearest)
    for shift in (2**i for i in range(window.bit_length() - 1)):
        errors += jnp.roll(errors, shift, 1)  # Doubles the window that each entry sums over.

    def before(x: jax.Array, distance: int = 1) -> jax.Array:
        return x[:, margin - distance : -distance]

    features = PredictionFeatures(
        amplitudes=jnp.stack([before(signal, i + 1) for i in range(window)], -1),
        steps=jnp.stack([before(differences[1], i + 1) for i in range(window)], -1),
        predictions=before(predictions),
        errors=before(errors) / window,
    )
    return jax.tree.map(lambda x: x.at[:, 0].set(0), features)
