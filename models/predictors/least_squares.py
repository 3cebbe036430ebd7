"""Recursive least squares over few taps, weighted by how well the signal is predicted at the time.

D inputs, padded to a multiple of LANES.

The prediction is w h of D inputs h: samples before the predicted one, and samples of another
channel around it. With its error e and S <- S / 2 + |e|, an update weighs a sample by
c = (1 - decay) (S + 2)^-3/4, so that a loud passage does not outweigh the quiet one after it:

    R <- decay R + c h h',  b <- decay b + c x h,  and now and then  (R + ridge I) w = b.

The form is Sac's (https://github.com/slmdev/Sac), whose exponent is another one: -3/4 needs square
roots only, which every machine rounds alike.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.predictors.compile import copy, jit
from models.predictors.config import LeastSquaresConfig
from models.predictors.lanes import dot, padded
from models.predictors.linear_solver import learn, solve, sufficient_ridge
from models.predictors.memory import Allocator, make_records, square_matrix

AHEAD = 8
"""Samples of another channel that are known after the one at the same time."""

_LEAST_SQUARES = np.dtype(
    [
        *((name, np.int64) for name in ("taps", "others", "ahead", "width", "interval", "updates")),
        *((name, np.float64) for name in ("decay", "spread", "prediction")),
        *((name, np.int64) for name in ("inputs", "weights", "targets", "covariance", "scratch")),
    ],
    align=True,
)
"""Of a predictor: own taps, those of the other channel and how many of these lie ahead, D, ...; and
where its vectors and matrices lie in float64."""


def init_least_squares(
    configs: Sequence[LeastSquaresConfig], stereo: bool, allocator: Allocator
) -> np.ndarray:
    """Returns a record for each predictor; where not `stereo`, there is no other channel."""
    values = []
    for config in configs:
        others = config.past + config.ahead if stereo else 0
        width = padded(config.taps + others)
        values.append(
            {
                "taps": config.taps,
                "others": others,
                "ahead": config.ahead,
                "width": width,
                "interval": config.interval,
                "decay": config.decay,
                **{name: allocator.doubles(width) for name in ("inputs", "weights", "targets")},
                **{name: allocator.doubles(width * width) for name in ("covariance", "scratch")},
            }
        )
    return make_records(_LEAST_SQUARES, values)


@jit
def predict_least_squares(predictor: Any, own: Any, other: Any, doubles: np.ndarray) -> float:
    """Returns the prediction of the sample after the history `own`.

    The history `other` has been given the sample at the same time, and AHEAD more.
    """
    taps, others = predictor.taps, predictor.others
    inputs = doubles[predictor.inputs : predictor.inputs + predictor.width]
    copy(inputs[:taps], doubles[own.start : own.start + taps])
    if others:
        newest = other.start + AHEAD + 1 - predictor.ahead
        copy(inputs[taps : taps + others], doubles[newest : newest + others])
    weights = doubles[predictor.weights : predictor.weights + predictor.width]
    prediction = dot(weights, inputs)
    predictor.prediction = prediction
    return prediction


@jit
def update_least_squares(predictor: Any, doubles: np.ndarray, sample: float) -> None:
    """Learns the sample that has just been predicted."""
    width, decay = predictor.width, predictor.decay
    size = predictor.taps + predictor.others
    inputs = doubles[predictor.inputs : predictor.inputs + width]
    targets = doubles[predictor.targets : predictor.targets + width]
    covariance = square_matrix(doubles, predictor.covariance, width)

    spread = 0.5 * predictor.spread + abs(sample - predictor.prediction)
    predictor.spread = spread
    root = np.sqrt(spread + 2.0)
    weight = (1.0 - decay) / (root * np.sqrt(root))
    learn(covariance, targets, size, decay, weight, inputs, sample)

    predictor.updates += 1
    if predictor.updates == predictor.interval:
        predictor.updates = 0
        scratch = square_matrix(doubles, predictor.scratch, width)
        weights = doubles[predictor.weights : predictor.weights + width]
        ridge = sufficient_ridge(covariance, size, 25.0 * (1.0 - decay))
        solve(covariance, ridge, targets, size, scratch, weights)
