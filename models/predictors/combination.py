"""Combines experts' predictions into one, by recursive least squares over the experts.

K experts, padded to a multiple of LANES.

A sample counts the more, the better it was predicted: with S <- 0.7 S + 0.3 |error|, by
(1 - decay) / (S^2 + 1). Which memory is best changes with the signal: so several combinations are
made, and combined in the same way.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.predictors.compile import jit
from models.predictors.lanes import dot, padded
from models.predictors.linear_solver import learn, solve, sufficient_ridge
from models.predictors.memory import Allocator, make_records, square_matrix

_RIDGE = 1e-4  # Towards equal weights.

_COMBINATION = np.dtype(
    [
        *((name, np.int64) for name in ("experts", "width", "interval", "updates")),
        *((name, np.float64) for name in ("decay", "spread", "prediction")),
        *((name, np.int64) for name in ("weights", "targets", "covariance", "scratch")),
    ],
    align=True,
)


def init_combinations(
    experts: int, decays: Sequence[float], interval: int, allocator: Allocator
) -> np.ndarray:
    """Returns a record for each combination of the same experts."""
    width = padded(experts)
    return make_records(
        _COMBINATION,
        [
            {
                "experts": experts,
                "width": width,
                # Solved first at once: the weights begin equal.
                "interval": interval,
                "updates": interval,
                "decay": decay,
                "spread": 1.0,
                **{name: allocator.doubles(width) for name in ("weights", "targets")},
                **{name: allocator.doubles(width * width) for name in ("covariance", "scratch")},
            }
            for decay in decays
        ],
    )


@jit
def predict_combination(
    combination: Any,
    predictions: np.ndarray,  # float64 [K], zero where padded
    doubles: np.ndarray,
) -> float:
    """Returns the combined prediction."""
    if combination.updates == combination.interval:
        combination.updates = 0
        _solve(combination, doubles)
    weights = doubles[combination.weights : combination.weights + combination.width]
    prediction = dot(weights, predictions)
    combination.prediction = prediction
    return prediction


@jit
def update_combination(
    combination: Any,
    predictions: np.ndarray,  # float64 [K]
    doubles: np.ndarray,
    sample: float,
) -> None:
    """Learns the sample that the experts have predicted."""
    width, decay = combination.width, combination.decay
    covariance = square_matrix(doubles, combination.covariance, width)
    targets = doubles[combination.targets : combination.targets + width]
    spread = 0.7 * combination.spread + 0.3 * abs(sample - combination.prediction)
    combination.spread = spread
    weight = (1.0 - decay) / (spread * spread + 1.0)
    learn(covariance, targets, combination.experts, decay, weight, predictions, sample)
    combination.updates += 1


@jit
def _solve(combination: Any, doubles: np.ndarray) -> None:
    """(R + ridge I) w = b + ridge / K."""
    experts, width = combination.experts, combination.width
    covariance = square_matrix(doubles, combination.covariance, width)
    scratch = square_matrix(doubles, combination.scratch, width)
    weights = doubles[combination.weights : combination.weights + width]
    targets = doubles[combination.targets : combination.targets + width]
    ridge = sufficient_ridge(covariance, experts, _RIDGE)
    equal = ridge / experts
    for i in range(experts):
        targets[i] += equal
    solve(covariance, ridge, targets, experts, scratch, weights)
    for i in range(experts):
        targets[i] -= equal
