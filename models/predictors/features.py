"""What the network reads before each sample: what the experts say, and how well they have done.

K experts (and combinations), F features.

Each kind of feature is normalised by constants and limited, so that networks learn them alike. In
order: each expert's distance from the base, over the scale s (the base's mean absolute error);
log2 of the base's mean absolute error over several spans; log2 of each expert's over s; the base's
last errors over s; the last samples' distances from the base over s; log2 of the base's size; its
distance from an integer.
"""

from typing import Any

import numpy as np

from models.predictors.compile import jit
from models.predictors.memory import Allocator, make_records

_SPANS = (4.0, 16.0, 64.0, 256.0, 2048.0)
"""Samples over which the base's errors are averaged, with weights that decay exponentially."""
_SCALE = 1  # Which of them is the scale.
_EXPERT_SPAN = 32.0
_NEWEST = 16  # Errors and samples that are read.
_FLOOR = 0.1  # Of mean errors, in steps of the scale: silence has none.

# Mean and 1 / deviation of each kind, over recordings of speech, music and nature at 8 to 48 kHz.
# They are part of what a model is trained on: not to be measured anew.
_DISTANCE = (0.0, 0.4)  # Of an expert.
_SIZE = (4.0, 0.33)  # log2 of a mean error.
_RELATIVE = (0.5, 1.25)  # log2 of an expert's mean error, over the scale.
_ERROR = (0.0, 0.8)
_SAMPLE = (0.0, 0.025)
_LEVEL = (8.0, 0.35)  # log2 of the base.
_FRACTION = (0.0, 3.5)
_LIMIT = 8.0

_FEATURES = np.dtype(
    [(name, np.int64) for name in ("experts", "errors", "spans", "newest")], align=True
)


def num_features(experts: int) -> int:
    """Returns F."""
    return 2 * experts + len(_SPANS) + 2 * _NEWEST + 2


def init_features(experts: int, allocator: Allocator) -> np.ndarray:
    """Returns a record: where the mean errors, and the newest errors and samples, lie."""
    return make_records(
        _FEATURES,
        [
            {
                "experts": experts,
                "errors": allocator.doubles(experts),
                "spans": allocator.doubles(len(_SPANS)),
                "newest": allocator.doubles(2 * _NEWEST),
            }
        ],
    )


@jit
def _normalize(value: float, kind: tuple[float, float]) -> float:
    return min(max((value - kind[0]) * kind[1], -_LIMIT), _LIMIT)


@jit
def _log2(value: float) -> float:
    """About log2 of a positive number, exact everywhere: exponent and, linearly, mantissa."""
    return np.float64(np.float64(value).view(np.int64)) * 2.0**-52 - 1023.0


@jit
def extract_features(
    record: Any,
    doubles: np.ndarray,
    offsets: np.ndarray,  # float32 [K]
    bank_base: float,
    base: float,
    features: np.ndarray,  # float32 [F]
) -> float:
    """Writes the features of the next sample; returns the scale.

    Args:
      record: what `init_features` returns.
      doubles: what it refers to.
      offsets: the experts' predictions less `bank_base`, what the bank makes of them.
      bank_base: see above.
      base: what the sample is predicted to be.
      features: is written.
    """
    shift = base - bank_base
    scale = doubles[record.spans + _SCALE] + _FLOOR
    inverse = 1.0 / scale
    log_scale = _log2(scale)
    count, at = record.experts, 0
    for k in range(count):
        features[at + k] = _normalize((offsets[k] - shift) * inverse, _DISTANCE)
    at += count
    for i in range(len(_SPANS)):
        error = doubles[record.spans + i] + _FLOOR
        features[at + i] = _normalize(_log2(error), _SIZE)
    at += len(_SPANS)
    for k in range(count):
        error = doubles[record.errors + k] + _FLOOR
        features[at + k] = _normalize(_log2(error) - log_scale, _RELATIVE)
    at += count
    for i in range(_NEWEST):
        features[at + i] = _normalize(doubles[record.newest + i] * inverse, _ERROR)
        sample = doubles[record.newest + _NEWEST + i]
        features[at + _NEWEST + i] = _normalize((sample - base) * inverse, _SAMPLE)
    at += 2 * _NEWEST
    features[at] = _normalize(_log2(abs(base) + 1.0), _LEVEL)
    features[at + 1] = _normalize(base - np.floor(base + 0.5), _FRACTION)
    return scale


@jit
def update_features(
    record: Any,
    doubles: np.ndarray,
    offsets: np.ndarray,  # float32 [K]
    bank_base: float,
    base: float,
    sample: float,
) -> None:
    """Learns the sample whose features have just been written."""
    size, bank_error = abs(sample - base), sample - bank_base
    for i in range(len(_SPANS)):
        at = record.spans + i
        doubles[at] += (size - doubles[at]) / _SPANS[i]
    for k in range(record.experts):
        at = record.errors + k
        doubles[at] += (abs(bank_error - offsets[k]) - doubles[at]) / _EXPERT_SPAN
    newest = record.newest
    for i in range(_NEWEST - 1, 0, -1):
        doubles[newest + i] = doubles[newest + i - 1]
        doubles[newest + _NEWEST + i] = doubles[newest + _NEWEST + i - 1]
    doubles[newest] = sample - base
    doubles[newest + _NEWEST] = sample


@jit
def run_features(
    record: Any,
    doubles: np.ndarray,
    samples: np.ndarray,  # int32 [n]
    offsets: np.ndarray,  # float32 [n, K]
    base: np.ndarray,  # float64 [n]
    features: np.ndarray,  # float32 [n, F]
    scales: np.ndarray,  # float64 [n]
) -> None:
    """Writes the features of a stretch of samples."""
    for t in range(samples.size):
        at = base[t]
        scales[t] = extract_features(record, doubles, offsets[t], at, at, features[t])
        update_features(record, doubles, offsets[t], at, at, np.float64(samples[t]))
