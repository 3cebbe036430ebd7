"""A mixture of discretized logistics over integer samples, exactly normalised.

B batch, L samples in a chunk, E embedding, P predictors. `docs/explanation/experiments_network.md`
has what other distributions cost.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import LogisticMixtureConfig
from models.distributions.mixture import Mixture
from models.predictors.fixed import PredictionFeatures


class LogisticMixture(nn.Module):
    """A mixture of discretized logistics (Salimans et al. 2017, arXiv:1701.05517).

    Each component is initially centred on a fixed predictor and as wide as its recent errors; the
    network outputs a shift, a change of scale and a weight. The extreme sample values take the mass
    beyond them, so the probabilities sum to 1 exactly, and a uniform component bounds the cost of
    any sample.

    Attributes:
      config: its constants.
      depth: bits per sample.
    """

    config: LogisticMixtureConfig
    depth: int

    @nn.compact
    def __call__(self, hidden: jax.Array, features: PredictionFeatures) -> Mixture:  # [..., E]
        config, num_predictors = self.config, features.predictions.shape[-1]
        outputs = nn.Dense(
            3 * num_predictors + 1,
            precision="highest",  # Accelerators multiply float32 in fewer bits unless told so.
            kernel_init=nn.initializers.normal(0.01),
            bias_init=lambda *args: jnp.zeros(args[1]).at[-1].set(config.uniform_logit),
        )(hidden.astype(jnp.float32))
        shifts, spreads, logits = jnp.split(outputs, [num_predictors, 2 * num_predictors], -1)
        errors = features.errors + config.min_error  # Silence has none: no logarithm of zero.
        full_scale = 2 ** (self.depth - 1)
        log_scales = jnp.log(errors) + config.spread + spreads
        return Mixture(
            jax.nn.log_softmax(logits),
            jnp.clip(features.predictions + errors * shifts, -full_scale, full_scale),
            jnp.clip(log_scales, config.min_log_scale, config.max_log_scale),
        )


def mixture_log_prob(
    mixture: Mixture, samples: jax.Array, depth: int, group_size: int = 1
) -> jax.Array:
    """Returns the log-probability, in nats, of the group of values that a sample belongs to.

    The logistic mass between a and b, sigmoid(b) - sigmoid(a), is computed as
    sigmoid(b) sigmoid(-a) (1 - exp(a - b)), of which every factor has a stable logarithm.

    Args:
      mixture: of arrays [..., P].
      samples: signed integers [...], broadcast with those.
      depth: bits per sample.
      group_size: number of values in a group, aligned: 1 for the sample itself, 256 for all values
        with its upper byte.

    Returns:
      float32 [...].
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
