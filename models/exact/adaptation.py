"""The last layer goes on learning while it codes.

M components, H width.

After each sample, a step down the gradient of its cost, of a size that is normalised by the power
of the layer's inputs (as in normalised least mean squares): what distinguishes a recording from the
average of those that were trained on is learnt from the recording itself, by encoder and decoder
alike.
"""

import numpy as np

from models.exact.functions import SIGMOID_ONE, sigmoid
from models.exact.mixture import ExactMixture
from models.exact.network import ExactMlp
from models.predictors.compile import inlined, jit
from models.predictors.lanes import add_outer, add_scaled

_LIMIT = 2.0  # Of a gradient.
_LEAST = 1e-12  # Probability of a sample under a component, for the sake of quotients.


@inlined
def adapt(
    network: ExactMlp,
    count: int,
    mixture: ExactMixture,
    gradient: np.ndarray,  # float32 [O], zero where padded
    residual: float,
    scale: float,
    bias_rate: float,
    rate: float,
) -> None:
    """Learns a sample from the mixture that was set for it.

    Args:
      network: its last layer is changed.
      count: what `apply_mlp` has returned.
      mixture: of the sample.
      gradient: is overwritten.
      residual: sample less base.
      scale: of the base.
      bias_rate: of learning.
      rate: likewise, of the weights.
    """
    _gradient(mixture, gradient, residual, scale)
    add_scaled(network.last_bias, np.float32(-bias_rate), gradient)
    active = network.active
    power = np.float32(1.0)
    for i in range(count):
        power += active[i] * active[i]
    size = np.float32(-rate) / power
    add_outer(network.last, network.rows, count, size, active, gradient)


@inlined
def _gradient(mixture: ExactMixture, gradient: np.ndarray, residual: float, scale: float) -> None:
    """Writes the gradient of a sample's cost in nats by the network's outputs."""
    count = mixture.weights.size
    one = 1.0 / SIGMOID_ONE
    total = 0.0
    for k in range(count):
        total += mixture.probabilities[k] * _mass(mixture, k, residual)
    for k in range(count):
        probability = mixture.probabilities[k]
        inverse = mixture.inverse_scales[k]
        below = (residual - 0.5 - mixture.centres[k]) * inverse
        above = below + inverse
        first, last = sigmoid(mixture.table, below), sigmoid(mixture.table, above)
        mass = (last - first) * one + _LEAST
        share = probability * mass / total
        low, high = first * one, last * one
        low, high = low * (1.0 - low), high * (1.0 - high)
        towards = share / mass
        gradient[k] = _clip(probability - share)
        gradient[count + k] = _clip(towards * (high - low) * inverse * scale)
        gradient[2 * count + k] = _clip(towards * (high * above - low * below))


@inlined
def _mass(mixture: ExactMixture, k: int, residual: float) -> float:
    place = (residual - 0.5 - mixture.centres[k]) * mixture.inverse_scales[k]
    low = sigmoid(mixture.table, place)
    high = sigmoid(mixture.table, place + mixture.inverse_scales[k])
    return (high - low) * (1.0 / SIGMOID_ONE) + _LEAST


@jit
def _clip(value: float) -> np.float32:
    return np.float32(min(max(value, -_LIMIT), _LIMIT))
