"""Functions whose last bit is the same on every machine, which a C library's are not.

Only sums, products, floors and the bits of numbers are used, in a written order.
"""

import decimal

import numpy as np

from models.predictors.compile import jit

LOG2_E = 1.4426950408889634
# Of 2^x = e^(x ln 2): ln(2)^k / k!, as numbers, since `log` and `pow` are a C library's.
_TERMS = (
    *(1.0, 0.6931471805599453, 0.2402265069591007, 0.055504108664821576, 0.009618129107628477),
    *(0.0013333558146428441, 0.00015403530393381606, 1.5252733804059838e-05),
    1.3215486790144305e-06,
)

SIGMOID_ONE = 2**30
_STEPS = 64  # Of the table, per unit.
_RANGE = 24  # Beyond it, the sigmoid is 0 or 1 to 30 bits.


def _sigmoid_table() -> np.ndarray:  # int64 [2 _RANGE _STEPS + 2]
    """Returns the sigmoid in units of 1 / SIGMOID_ONE, made of correctly rounded decimals."""
    with decimal.localcontext(prec=25):
        values = [
            round(SIGMOID_ONE / (1 + (-decimal.Decimal(i) / _STEPS).exp()))
            for i in range(-_RANGE * _STEPS, _RANGE * _STEPS + 1)
        ]
    values[0], values[-1] = 0, SIGMOID_ONE
    return np.array([*values, values[-1]], np.int64)


SIGMOID = _sigmoid_table()


@jit
def exp2(x: float) -> float:
    """Returns 2^x to nine digits, for -1000 < x < 1000."""
    whole = np.floor(x + 0.5)
    rest = x - whole
    value = _TERMS[8]
    for k in range(7, -1, -1):
        value = value * rest + _TERMS[k]
    return value * np.int64((np.int64(whole) + 1023) << 52).view(np.float64)


@jit
def sigmoid(table: np.ndarray, x: float) -> int:
    """Returns 1 / (1 + e^-x) in units of 1 / SIGMOID_ONE, monotonically.

    Args:
      table: SIGMOID. It is interpolated in integers, rounded down, which no rounding of x can turn
        around.
      x: any number; NaN counts as low.
    """
    place = (x + _RANGE) * _STEPS
    if not place > 0.0:
        return 0
    if place >= 2 * _RANGE * _STEPS:
        return SIGMOID_ONE
    index = np.int64(place)
    low = table[index]
    return low + np.int64((place - index) * np.float64(table[index + 1] - low))
