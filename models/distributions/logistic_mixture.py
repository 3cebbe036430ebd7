"""The distribution of a symbol given what the network knows: exact, and always normalised.

Why logistics around linear predictions, in bits per sample on eight held-out sets of speech and
music, 8-bit / 16-bit (one seed, 2 layers, 100 steps of 8 chunks of 512, Adam at 1e-3):

- one logistic a predictor: 1.701 / 7.792, and before any training 2.18 / 8.39
- two of different widths: 1.726 / 7.824; three: 1.731 / 7.853
- a softmax over the difference to the previous symbol (its high byte, then its low byte for 16
  bits): 2.022 / 9.465, and before any training 8.46 / 16.30

L symbols in a chunk, V vocabulary, E embedding, W window, P predictors, G group sizes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from models.config import ModelConfig
from models.predictors.fixed import NUM_PREDICTORS, PredictionFeatures

# Of a logistic distribution, the logarithm of its scale over its mean absolute deviation is -0.33;
# narrower won in trials, since the best predictor varies and the others catch what it misses.
_SPREAD = -0.6
_MIN_ERROR = 0.1
_LOG_SCALES = (-3.0, 12.0)
_SURPRISE = -6.0


class Mixture(NamedTuple):
    """Logistic distributions in amplitudes, and the log-probability of choosing each.

    [..., P]; `weights` has one more, the last, for the uniform distribution.
    """

    centres: jax.Array
    log_scales: jax.Array
    weights: jax.Array


class LogisticMixture(nn.Module):
    """A mixture of discretized logistics (Salimans et al. 2017, arXiv:1701.05517).

    Each component starts as one of the fixed predictors, as wide as that one's recent errors; the
    network moves, widens and weighs it. The outermost symbols take what lies beyond them, so the
    probabilities sum to 1 exactly, and a uniform component bounds the cost of a surprise.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, hidden: jax.Array, history: PredictionFeatures) -> Mixture:  # [..., E]
        outputs = nn.Dense(
            3 * NUM_PREDICTORS + 1,
            kernel_init=nn.initializers.normal(0.01),
            bias_init=lambda *args: jnp.zeros(args[1]).at[-1].set(_SURPRISE),
        )(hidden.astype(jnp.float32))
        moves, spreads, weights = jnp.split(outputs, [NUM_PREDICTORS, 2 * NUM_PREDICTORS], -1)
        errors = history.errors + _MIN_ERROR
        half = self.config.vocab_size // 2
        return Mixture(
            jnp.clip(history.predictions + errors * moves, -half, half),
            jnp.clip(jnp.log(errors) + _SPREAD + spreads, *_LOG_SCALES),
            jax.nn.log_softmax(weights),
        )

    def log_likelihood(
        self,
        hidden: jax.Array,  # [..., E]
        history: PredictionFeatures,  # [..., W] and [..., P]
        symbols: jax.Array,  # int [...]
        group_sizes: Sequence[int],
    ) -> jax.Array:  # float32 [..., G]
        """Returns the log-probability of each symbol's group of each size, in nats."""
        mixture, vocab_size = self(hidden, history), self.config.vocab_size
        return jnp.stack(
            [mixture_log_prob(mixture, symbols, vocab_size, size) for size in group_sizes], -1
        )

    def log_probs(
        self,
        hidden: jax.Array,  # [..., E]
        history: PredictionFeatures,  # [..., W] and [..., P]
    ) -> jax.Array:  # float32 [..., V]
        """Returns the log-probabilities of all symbols."""
        mixture = Mixture(*(x[..., None, :] for x in self(hidden, history)))
        symbols = jnp.arange(self.config.vocab_size)
        return mixture_log_prob(mixture, symbols, self.config.vocab_size)


def mixture_log_prob(
    mixture: Mixture, symbols: jax.Array, vocab_size: int, group_size: int = 1
) -> jax.Array:
    """Returns log P(group of the symbol), float32 of the symbols' and the mixture's common shape.

    Groups are `group_size` neighbours, aligned: with 1 the symbol itself, with 256 all that share
    its upper byte. The logistic mass between a and b, sigmoid(b) - sigmoid(a), is computed as
    sigmoid(b) sigmoid(-a) (1 - exp(a - b)), of which every factor has a stable logarithm.
    """
    lowest = symbols[..., None] // group_size * group_size
    inverse_scales = jnp.exp(-mixture.log_scales)
    distances = lowest.astype(jnp.float32) - vocab_size // 2 - mixture.centres
    first, last = lowest == 0, lowest == vocab_size - group_size
    below = jax.nn.log_sigmoid((distances + (group_size - 0.5)) * inverse_scales)
    above = jax.nn.log_sigmoid((0.5 - distances) * inverse_scales)
    width = jnp.log(-jnp.expm1(-group_size * inverse_scales))
    log_probs = (
        jnp.where(last, 0, below) + jnp.where(first, 0, above) + jnp.where(first | last, 0, width)
    )
    uniform = jnp.full_like(log_probs[..., :1], jnp.log(group_size / vocab_size))
    return jax.nn.logsumexp(mixture.weights + jnp.concatenate([log_probs, uniform], -1), -1)
