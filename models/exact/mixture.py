"""The mixture of `models.distributions.residual_mixture` as cumulative frequencies in integers.

M components.

With weights w_k that are integers of sum _WEIGHTS, and the logistic sigmoid S in units of
1 / SIGMOID_ONE, sample x of those from `lowest` to `highest` has the frequencies from C(x) to
C(x + 1):

    C(x) = FLOOR (x - lowest) + sum_k w_k S((x - 1/2 - centre_k) / scale_k).

C rises by at least FLOOR, whatever was rounded, since each part rises: so every sample can be
coded, and nothing is lost or counted twice.
"""

from typing import Any, NamedTuple

import numpy as np

from models.exact.functions import LOG2_E, SIGMOID_ONE, exp2, sigmoid
from models.predictors.compile import inlined

FLOOR = 16
_WEIGHTS = 2**14
LEAST_PROBABILITY = FLOOR / (_WEIGHTS * SIGMOID_ONE)
"""Of any sample, but for a rounding: 40 bits."""


class ExactMixture(NamedTuple):
    """The distribution of one sample.

    Attributes:
      weights: int64 [M].
      probabilities: float64 [M], of which `weights` are rounded.
      centres: float64 [M], less the base.
      inverse_scales: float64 [M].
      limits: float64 [2], the least and the greatest sample.
      scale_limits: float64 [2], of `inverse_scales`.
      table: SIGMOID.
    """

    weights: np.ndarray
    probabilities: np.ndarray
    centres: np.ndarray
    inverse_scales: np.ndarray
    limits: np.ndarray
    scale_limits: np.ndarray
    table: np.ndarray


@inlined
def total_frequency(mixture: ExactMixture) -> Any:
    """Returns the sum of all samples' frequencies."""
    samples = np.int64(mixture.limits[1] - mixture.limits[0]) + 1
    return FLOOR * samples + _WEIGHTS * SIGMOID_ONE


@inlined
def set_mixture(mixture: ExactMixture, outputs: np.ndarray, scale: float) -> None:
    """Sets the mixture from a network's outputs.

    Args:
      mixture: is changed.
      outputs: float32 [3 M or more]: logits, centres over `scale`, log(scale_k / scale).
      scale: of the base.
    """
    count = mixture.weights.size
    highest, best = np.float64(outputs[0]), 0
    for k in range(count):
        if outputs[k] > highest:
            highest, best = np.float64(outputs[k]), k
    total = 0.0
    for k in range(count):
        share = exp2(max((np.float64(outputs[k]) - highest) * LOG2_E, -100.0))
        mixture.probabilities[k] = share
        total += share
    left = _WEIGHTS
    for k in range(count):
        probability = mixture.probabilities[k] / total
        mixture.probabilities[k] = probability
        mixture.weights[k] = np.int64(probability * _WEIGHTS)
        left -= mixture.weights[k]
    mixture.weights[best] += left
    narrow, wide = mixture.scale_limits[0], mixture.scale_limits[1]
    for k in range(count):
        mixture.centres[k] = np.float64(outputs[count + k]) * scale
        spread = min(max(np.float64(outputs[2 * count + k]), -40.0), 40.0)
        mixture.inverse_scales[k] = min(max(exp2(-spread * LOG2_E) / scale, wide), narrow)


@inlined
def cumulative_frequency(mixture: ExactMixture, sample: float, base: float) -> Any:
    """Returns C of a sample, or of the one after the greatest."""
    lowest, highest = mixture.limits[0], mixture.limits[1]
    floor = FLOOR * np.int64(sample - lowest)
    if sample <= lowest:
        return 0
    if sample > highest:
        return floor + _WEIGHTS * SIGMOID_ONE
    edge = (sample - 0.5) - base
    below = 0
    for k in range(mixture.weights.size):
        place = (edge - mixture.centres[k]) * mixture.inverse_scales[k]
        below += mixture.weights[k] * sigmoid(mixture.table, place)
    return floor + below
