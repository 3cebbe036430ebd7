"""Normalized least mean squares filters, each on what those before it have left.

With the newest n values h of its input and the error e, a filter's weights move by

    w += rate / n * e h  *  sum_i p_i / (sum_i p_i h_i^2 + 1),  p_i about (1 + i)^-0.8:

its power counts new values more than old ones, so that an attack slows it down at once. The p_i are
a sum of four exponentials, of which each needs one number a sample and not a sum over n.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.predictors.compile import jit
from models.predictors.config import NlmsConfig
from models.predictors.lanes import add_scaled, dot
from models.predictors.memory import SLACK, Allocator, make_records, move_to_end

# Fitted to (1 + i)^-0.8 for i < 1280: p_i = 0.74 / 2^i + 0.21 (15/16)^i + ...
_SHARES = (0.74, 0.21, 0.032, 0.0103)
_DECAYS = (1 - 1 / 2, 1 - 1 / 16, 1 - 1 / 128, 1 - 1 / 1024)
_TOTAL = sum(share / (1 - decay) for share, decay in zip(_SHARES, _DECAYS, strict=True))
# A filter whose error is so many times what it was given has diverged.
_DIVERGED = 4.0

_NLMS = np.dtype(
    [
        *((name, np.int64) for name in ("taps", "weights", "history", "start")),
        *((name, np.float64) for name in ("rate", "prediction", "energy_in", "energy_out")),
        *((name, np.float64) for name in ("power_2", "power_16", "power_128", "power_1024")),
    ],
    align=True,
)
"""Of a filter: n, where its vectors lie in float32 and the newest value of its input; decaying
means of the squares of input and error, and decaying sums of the squares of the input."""


def init_nlms(configs: Sequence[NlmsConfig], allocator: Allocator) -> np.ndarray:
    """Returns a record for each filter."""
    values = []
    for config in configs:
        history = allocator.singles(config.taps + SLACK)
        values.append(
            {
                "taps": config.taps,
                "rate": config.rate,
                "weights": allocator.singles(config.taps),
                "history": history,
                "start": history + SLACK,
            }
        )
    return make_records(_NLMS, values)


@jit
def predict_nlms(stage: Any, singles: np.ndarray) -> float:
    """Returns the prediction of a filter's next input."""
    weights = singles[stage.weights : stage.weights + stage.taps]
    prediction = np.float64(dot(weights, singles[stage.start : stage.start + stage.taps]))
    stage.prediction = prediction
    return prediction


@jit
def update_nlms(stage: Any, singles: np.ndarray, value: float) -> float:
    """Learns the input that has just been predicted; returns what is left of it."""
    taps, start = stage.taps, stage.start
    error = value - stage.prediction
    weights = singles[stage.weights : stage.weights + taps]

    stage.energy_in += (value * value - stage.energy_in) / 1024.0
    stage.energy_out += (error * error - stage.energy_out) / 1024.0
    # Written so that NaN counts as diverged, too.
    if stage.energy_out <= _DIVERGED * stage.energy_in + 1.0:
        power = 1.0 + (
            (_SHARES[0] * stage.power_2 + _SHARES[1] * stage.power_16)
            + (_SHARES[2] * stage.power_128 + _SHARES[3] * stage.power_1024)
        )
        step = np.float32(stage.rate / taps * error * _TOTAL / power)
        add_scaled(weights, step, singles[start : start + taps])
    else:
        weights[:] = 0.0
        stage.energy_out = stage.energy_in
        error = value

    if start == stage.history:
        move_to_end(singles, start, taps)
        start += SLACK
    start -= 1
    stage.start = start
    newest = np.float32(value)
    singles[start] = newest
    square = np.float64(newest) * np.float64(newest)
    stage.power_2 = _DECAYS[0] * stage.power_2 + square
    stage.power_16 = _DECAYS[1] * stage.power_16 + square
    stage.power_128 = _DECAYS[2] * stage.power_128 + square
    stage.power_1024 = _DECAYS[3] * stage.power_1024 + square
    return error
