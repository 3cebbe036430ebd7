"""A mixture of logistics over the integers: exact, and always normalised.

B batch, L samples in a chunk, E embedding, P predictors. `docs/experiments.md` has what other
distributions cost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import LogisticMixtureConfig
from models.predictors.fixed import PredictionFeatures


class Mixture(NamedTuple):
    """Logistic distributions in steps of the integer scale, and the log-probability of each.

    [..., P]; `log_weights` has one more, the last, for the uniform distribution.
    """

    centres: jax.Array
    log_scales: jax.Array
    log_weights: jax.Array


class LogisticMixture(nn.Module):
    """A mixture of discretized logistics (Salimans et al. 2017, arXiv:1701.05517).

    Each component starts as one of the fixed predictors, as wide as that one's recent errors; the
    network shifts, widens and weighs it. The outermost samples take what lies beyond them, so the
    probabilities sum to 1 exactly, and a uniform component bounds the cost of a surprise.

    Attributes:
      config: its constants.
      depth: bits of a sample.
    """

    config: LogisticMixtureConfig
    depth: int

    @nn.compact
    def __call__(self, hidden: jax.Array, features: PredictionFeatures) -> Mixture:  # [..., E]
        config, num_predictors = self.config, features.predictions.shape[-1]
        outputs = nn.Dense(
            3 * num_predictors + 1,
            kernel_init=nn.initializers.normal(0.01),
            bias_init=lambda *args: jnp.zeros(args[1]).at[-1].set(config.uniform_logit),
        )(hidden.astype(jnp.float32))
        shifts, spreads, logits = jnp.split(outputs, [num_predictors, 2 * num_predictors], -1)
        errors = features.errors + config.min_error
        full_scale = 2 ** (self.depth - 1)
        log_scales = jnp.log(errors) + config.spread + spreads
        return Mixture(
            jnp.clip(features.predictions + errors * shifts, -full_scale, full_scale),
            jnp.clip(log_scales, config.min_log_scale, config.max_log_scale),
            jax.nn.log_softmax(logits),
        )


def mixture_log_prob(
    mixture: Mixture, samples: jax.Array, depth: int, group_size: int = 1
) -> jax.Array:
    """Returns log P(group of the sample), float32 of the samples' and the mixture's common shape.

    Groups are `group_size` neighbours, aligned: with 1 the sample itself, with 256 all that share
    its upper byte. The logistic mass between a and b, sigmoid(b) - sigmoid(a), is computed as
    sigmoid(b) sigmoid(-a) (1 - exp(a - b)), of which every factor has a stable logarithm.
    """
    full_scale = 2 ** (depth - 1)
    lowest = samples[..., None] // group_size * group_size
    inverse_scales = jnp.exp(-mixture.log_scales)
    distances = lowest.astype(jnp.float32) - mixture.centres
    first, last = lowest == -full_scale, lowest == full_scale - group_size
    below = jax.nn.log_sigmoid((distances + (group_size - 0.5)) * inverse_scales)
    above = jax.nn.log_sigmoid((0.5 - distances) * inverse_scales)
    width = jnp.log(-jnp.expm1(-group_size * inverse_scales))
    log_probs = (
        jnp.where(last, 0, below) + jnp.where(first, 0, above) + jnp.where(first | last, 0, width)
    )
    uniform = jnp.full_like(log_probs[..., :1], jnp.log(group_size / (2 * full_scale)))
    return jax.nn.logsumexp(mixture.log_weights + jnp.concatenate([log_probs, uniform], -1), -1)
