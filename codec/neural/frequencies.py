"""A step's floats as integer frequencies, and samples by them as bits, row after row.

R rows, M components, O outputs of a row: 3 M, or 3 M + 1 with a uniform component.

The frequencies are those of `models.exact.mixture`; a uniform component of weight w adds
w / 2^depth to each sample's.
"""

from typing import Any, NamedTuple

import numpy as np

from codec.range_coder import SLACK, consume, encode, target
from models.exact.functions import LOG2_E, SIGMOID, SIGMOID_ONE, exp2, sigmoid
from models.exact.mixture import FLOOR
from models.predictors.compile import jit

_WEIGHTS_LOG = 14
_SIGMOID_LOG = 30  # SIGMOID_ONE = 2^30: a depth divides it.


class RowMixture(NamedTuple):
    """The distribution of one sample.

    Attributes:
      weights: int64 [M + 1], the uniform component's last; they sum to 2^14.
      centres: float64 [M], of samples.
      inverse_scales: float64 [M].
      depth: bits per sample.
      table: SIGMOID.
    """

    weights: np.ndarray
    centres: np.ndarray
    inverse_scales: np.ndarray
    depth: int
    table: np.ndarray


def make_mixture(components: int, depth: int) -> RowMixture:
    """Returns a mixture that `encode_rows` and `decode_rows` set."""
    weights = np.zeros(components + 1, np.int64)
    return RowMixture(weights, np.zeros(components), np.zeros(components), depth, SIGMOID)


@jit
def encode_rows(
    mixture: RowMixture,
    outputs: np.ndarray,  # float32 [R, O]
    bases: np.ndarray,  # float64 [R]
    count: np.ndarray,  # bool [R]
    samples: np.ndarray,  # int32 [R]
    coder: Any,
    data: np.ndarray,  # uint8, with room for R * SLACK more bytes
) -> None:
    """Codes the next sample of each row that counts.

    Args:
      mixture: is overwritten.
      outputs: log-weights, centres less base, logarithms of scales.
      bases: of the centres.
      count: which rows have a sample.
      samples: theirs.
      coder: the range coder.
      data: is written.
    """
    total = _total(mixture)
    for row in range(count.size):
        if count[row]:
            _set_mixture(mixture, outputs[row], bases[row])
            sample = np.int64(samples[row])
            below = _cumulative(mixture, sample)
            encode(coder, data, below, _cumulative(mixture, sample + 1) - below, total)


@jit
def decode_rows(
    mixture: RowMixture,
    outputs: np.ndarray,  # float32 [R, O]
    bases: np.ndarray,  # float64 [R]
    count: np.ndarray,  # bool [R]
    samples: np.ndarray,  # int32 [R]
    coder: Any,
    data: np.ndarray,  # uint8
) -> None:
    """Writes the samples that `encode_rows` has coded."""
    total, half = _total(mixture), np.int64(1) << (mixture.depth - 1)
    for row in range(count.size):
        if count[row]:
            _set_mixture(mixture, outputs[row], bases[row])
            wanted = target(coder, total)
            low, high = -half, half
            while high - low > 1:  # C(low) <= wanted < C(high).
                middle = (low + high) >> 1
                if _cumulative(mixture, middle) <= wanted:
                    low = middle
                else:
                    high = middle
            below = _cumulative(mixture, low)
            consume(coder, data, below, _cumulative(mixture, low + 1) - below, total)
            samples[row] = low


@jit
def _total(mixture: RowMixture) -> Any:
    return (np.int64(FLOOR) << mixture.depth) + (np.int64(SIGMOID_ONE) << _WEIGHTS_LOG)


@jit
def _set_mixture(mixture: RowMixture, outputs: np.ndarray, base: float) -> None:
    count = mixture.centres.size
    weights = mixture.weights
    left, best = np.int64(1) << _WEIGHTS_LOG, 0
    weights[count] = 0
    for k in range(outputs.size - 2 * count):
        share = exp2(_clip(np.float64(outputs[k]) * LOG2_E, -100.0, 0.0))
        weights[k] = min(np.int64(share * (1 << _WEIGHTS_LOG)), left)
        left -= weights[k]
        if weights[k] > weights[best]:
            best = k
    weights[best] += left
    first = outputs.size - 2 * count
    for k in range(count):
        mixture.centres[k] = np.float64(outputs[first + k]) + base
        scale = np.float64(outputs[first + count + k])
        mixture.inverse_scales[k] = exp2(_clip(-scale * LOG2_E, -40.0, 40.0))


@jit
def _clip(value: float, lowest: float, highest: float) -> float:
    if not value > lowest:  # NaN, too.
        return lowest
    return min(value, highest)


@jit
def _cumulative(mixture: RowMixture, sample: int) -> Any:
    """Returns the sum of the frequencies of lesser samples; of what follows the greatest, all."""
    half = np.int64(1) << (mixture.depth - 1)
    if sample <= -half:
        return np.int64(0)
    if sample >= half:
        return _total(mixture)
    count = mixture.centres.size
    every = np.int64(FLOOR) + (mixture.weights[count] << (_SIGMOID_LOG - mixture.depth))
    below = every * (sample + half)
    edge = np.float64(sample) - 0.5
    for k in range(count):
        place = (edge - mixture.centres[k]) * mixture.inverse_scales[k]
        below += mixture.weights[k] * sigmoid(mixture.table, place)
    return below


def room(rows: int) -> int:
    """Returns the bytes that `encode_rows` may write at most."""
    return rows * SLACK
