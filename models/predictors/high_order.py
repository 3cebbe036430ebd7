"""Least squares over hundreds of taps: what sustained tones, resonances and band limits leave.

n taps. Without weights, the covariance of a sliding history is that of one sample ago, moved by
one: R_t[i][j] = R_{t-i}[0][j - i]. So a sample costs one row,

    r_t[k] = decay r_{t-1}[k] + x[t] x[t - k],

and the last n of these rows are the matrix; of many taps, the newest one is enough (see
`displacement`). Now and then a few steps of conjugate gradients on (R + ridge I) w = b go on from
the last weights. Stopping early is not only cheap: it is better than solving, and it bears a memory
as short as the filter. Rows are kept in float32, which halves the time; everything that is summed
is float64.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.predictors.compile import jit
from models.predictors.config import HighOrderConfig
from models.predictors.displacement import (
    DISPLACEMENT,
    displacement_fields,
    fill_tables,
    multiply_by_covariance,
    set_covariance,
)
from models.predictors.lanes import (
    LANES,
    add_scaled,
    as_matrix,
    dot,
    dot_and_add,
    padded,
    scale_and_add,
)
from models.predictors.memory import Allocator, make_records

_MANY_TAPS = 512  # From where on transforms are faster than rows.

_HIGH_ORDER = np.dtype(
    [
        *((name, np.int64) for name in ("taps", "interval", "steps", "updates", "current")),
        ("decay", np.float64),
        ("weights", np.int64),
        ("newest_row", np.int64),
        *((name, np.int64) for name in ("residual", "direction", "product")),
        ("rows", np.int64),
        *DISPLACEMENT,
    ],
    align=True,
)
"""Of a predictor: n, ..., the row that is written next; where its vectors lie in float64, and its
matrix of rows in float32. Many taps have no rows, the others no transforms. Vectors have n + LANES
entries, of which the last are zero (but for newest_row), so that a sum over whole vectors may begin
anywhere."""


def init_high_order(configs: Sequence[HighOrderConfig], allocator: Allocator) -> np.ndarray:
    """Returns a record for each predictor."""
    vectors = ("weights", "newest_row", "residual", "direction", "product")
    values: list[dict[str, Any]] = []
    for config in configs:
        width = config.taps + LANES
        values.append(
            {
                "taps": config.taps,
                "interval": config.interval,
                "steps": config.steps,
                "decay": config.decay,
                **{name: allocator.doubles(width) for name in vectors},
            }
        )
        if config.taps < _MANY_TAPS:
            values[-1]["rows"] = allocator.singles(config.taps * width)
        else:
            values[-1].update(displacement_fields(config.taps, allocator))
    return make_records(_HIGH_ORDER, values)


def fill_high_order(predictors: np.ndarray, doubles: np.ndarray) -> None:
    """Writes tables, once there is memory."""
    for predictor in predictors:
        if predictor["taps"] >= _MANY_TAPS:
            fill_tables(predictor, doubles)


@jit
def predict_high_order(predictor: Any, own: Any, doubles: np.ndarray) -> float:
    """Returns the prediction of the sample after the history `own`."""
    taps = predictor.taps
    weights = doubles[predictor.weights : predictor.weights + taps]
    return dot(weights, doubles[own.start : own.start + taps])


@jit
def update_high_order(predictor: Any, own: Any, doubles: np.ndarray, singles: np.ndarray) -> None:
    """Learns the newest sample of the history `own`."""
    taps = predictor.taps
    width = taps + LANES
    newest = doubles[predictor.newest_row : predictor.newest_row + width]
    predictor.updates += 1
    is_due = predictor.updates == predictor.interval
    # The row is still that of the samples before the newest one: those that have predicted it.
    if taps < _MANY_TAPS:
        at = predictor.rows + predictor.current * width
        for i in range(taps):
            singles[at + i] = newest[i]
    elif is_due:
        set_covariance(predictor, doubles, newest, doubles[own.start + 1 : own.start + 1 + taps])
    ridge = 0.025 / (1.0 - predictor.decay) + 1.0 + 1e-9 * newest[0]
    history = doubles[own.start : own.start + width]
    scale_and_add(newest, predictor.decay, history[0], history)
    if is_due:
        predictor.updates = 0
        _improve(predictor, ridge, doubles, singles)
    predictor.current += 1
    if predictor.current == taps:
        predictor.current = 0


@jit
def _improve(predictor: Any, ridge: float, doubles: np.ndarray, singles: np.ndarray) -> None:
    """A few steps of conjugate gradients (Hestenes and Stiefel 1952) from the last weights."""
    taps = predictor.taps
    width = taps + LANES
    weights = doubles[predictor.weights : predictor.weights + width]
    residual = doubles[predictor.residual : predictor.residual + width]
    direction = doubles[predictor.direction : predictor.direction + width]
    product = doubles[predictor.product : predictor.product + width]
    newest = doubles[predictor.newest_row : predictor.newest_row + width]

    _multiply(predictor, doubles, singles, weights, product)
    for i in range(taps):
        # The newest sample's covariances at lags 1 to n are the right-hand side.
        residual[i] = newest[i + 1] - product[i] - ridge * weights[i]
        direction[i] = residual[i]
    square = dot(residual, residual)
    for _ in range(predictor.steps):
        if not square > 1e-20:
            break
        _multiply(predictor, doubles, singles, direction, product)
        add_scaled(product, ridge, direction)
        curvature = dot(direction, product)
        if not curvature > 0.0:
            break
        length = square / curvature
        add_scaled(weights, length, direction)
        add_scaled(residual, -length, product)
        before, square = square, dot(residual, residual)
        scale_and_add(direction, square / before, 1.0, residual)


@jit
def _multiply(
    predictor: Any,
    doubles: np.ndarray,
    singles: np.ndarray,
    vector: np.ndarray,  # float64 [n + LANES]
    product: np.ndarray,  # float64 [n + LANES]
) -> None:
    """Product = R vector."""
    taps = predictor.taps
    if taps >= _MANY_TAPS:
        multiply_by_covariance(predictor, doubles, vector[:taps], product[:taps])
    else:
        width = taps + LANES
        rows = as_matrix(singles[predictor.rows : predictor.rows + taps * width], width)
        _multiply_rows(rows, predictor.current, vector, product)


@jit
def _multiply_rows(
    rows: np.ndarray,  # float32 [n, n + LANES]
    current: int,
    vector: np.ndarray,  # float64 [n + LANES]
    product: np.ndarray,  # float64 [n + LANES]
) -> None:
    """Product = R vector, where row i of R's upper triangle is the row of i samples ago."""
    taps = rows.shape[0]
    product[:] = 0.0
    for i in range(taps):
        row = current - i
        if row < 0:
            row += taps
        length = padded(taps - i)
        # The diagonal belongs to the first of the two sums only.
        left = product[i]
        right = dot_and_add(
            rows[row, :length], vector[i : i + length], vector[i], product[i : i + length]
        )
        product[i] = left + right
    product[taps:] = 0.0
