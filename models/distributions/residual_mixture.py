"""A mixture of discretized logistics around a prediction, exactly normalised.

B batch, L samples in a chunk, H width of the network, M components.

Everything is relative to the prediction, which is exact on the host and may be larger than float32
can resolve: of 24-bit samples, it has no bits left for fractions.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from models.config import ResidualMixtureConfig
from models.distributions.mixture import Mixture
from models.exact.mixture import LEAST_PROBABILITY


class Residual(NamedTuple):
    """A sample, as its prediction sees it.

    Attributes:
      value: sample less prediction, in quantization steps, float32 [...].
      scale: the prediction's recent mean absolute error, float32 [...].
      bound: -1 where the sample is the least there is, 1 where it is the greatest, else 0, int8
        [...].
    """

    value: jax.Array
    scale: jax.Array
    bound: jax.Array


class ResidualMixture(nn.Module):
    """From hidden states to a mixture whose components are initially from narrow to wide."""

    config: ResidualMixtureConfig

    @nn.compact
    def __call__(self, hidden: jax.Array, scale: jax.Array) -> Mixture:  # [..., H], [...]
        config, count = self.config, self.config.num_components
        widths = np.zeros(3 * count, np.float32)
        widths[2 * count :] = np.linspace(-1.5, 1.0, count)
        outputs = nn.Dense(
            3 * count,
            precision="highest",  # Accelerators multiply float32 in fewer bits unless told so.
            kernel_init=nn.initializers.normal(0.01),
            bias_init=lambda *_: jnp.asarray(widths),
        )(hidden)
        logits, shifts, spreads = jnp.split(outputs, 3, -1)
        log_scales = jnp.log(scale)[..., None] + spreads
        return Mixture(
            jax.nn.log_softmax(logits),
            scale[..., None] * shifts,
            jnp.clip(log_scales, config.min_log_scale, config.max_log_scale),
        )


def residual_log_prob(mixture: Mixture, residual: Residual) -> jax.Array:  # [...]
    """Returns the log-probability of samples in nats.

    The mass of a logistic between a and b, sigmoid(b) - sigmoid(a), is computed as
    sigmoid(b) sigmoid(-a) (1 - exp(a - b)), of which every factor has a stable logarithm. The least
    and the greatest sample take the mass beyond them. No sample has less than LEAST_PROBABILITY.
    """
    inverse = jnp.exp(-mixture.log_scales)
    distance = residual.value[..., None] - mixture.centres
    below = (distance - 0.5) * inverse
    above = (distance + 0.5) * inverse
    is_least, is_greatest = ((residual.bound == bound)[..., None] for bound in (-1, 1))
    log_mass = (
        jnp.where(is_greatest, 0.0, jax.nn.log_sigmoid(above))
        + jnp.where(is_least, 0.0, jax.nn.log_sigmoid(-below))
        + jnp.where(is_least | is_greatest, 0.0, _log1mexp(inverse))
    )
    log_prob = jax.nn.logsumexp(mixture.log_weights + log_mass, -1)
    return jnp.logaddexp(log_prob, math.log(LEAST_PROBABILITY))


def _log1mexp(x: jax.Array) -> jax.Array:
    """log(1 - exp(-x)) of positive x (Maechler 2012, "Accurately computing log(1 - exp(-|a|))")."""
    small = x < 0.693
    return jnp.where(
        small,
        jnp.log(-jnp.expm1(-jnp.where(small, x, 0.5))),
        jnp.log1p(-jnp.exp(-jnp.where(small, 1.0, x))),
    )
