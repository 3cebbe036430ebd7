"""Long-term prediction: from errors where the segment was like this before.

n samples in a segment, in B blocks; L lags a block; K experts of the bank, M combinations of them;
D inputs, padded to a multiple of LANES.

Music repeats itself: a loop, a sampled note, a chorus. An encoder has found for each block up to L
places before it that are like it, and says how far back they lie (`lag_search` finds them, `lags`
writes them; a lag of 0 is none). What could not be foreseen there is known by now, and likely to
come again. Not quite so for the bank: by now it has learnt other things, and errs otherwise. More
for one of its experts that is short and slow to change, the reference: its errors, w = sample less
prediction, are nearly those of a fixed filter, and a fixed filter repeats itself as its input does.

So the bank's error is predicted from w around t - lag, of this channel and of the one before it.
What differs between then and now has a colour: so the last w[t - 1], w[t - 2] ... are inputs, too,
those of the other channel around t, and how far the reference's prediction is from the bank's, by
which the weights pass from the one to the other. They are found by least squares as in
`least_squares`, and are those of these lags: where lags are new, they begin anew, from the last
samples before the block. (With the bank's errors in place of w four pieces of music need 0.4 to 8%
more: docs/explanation/experiments_long_term.md.)

This prediction and the bank's combinations are combined as these were before. Where a block has no
lags, the base is the bank's.
"""

from typing import Any, NamedTuple

import numpy as np

from models.predictors.combination import (
    init_combinations,
    predict_combination,
    update_combination,
)
from models.predictors.compile import jit
from models.predictors.config import AdaptivePredictorsConfig
from models.predictors.lags import check_lags
from models.predictors.lanes import dot, padded
from models.predictors.linear_solver import learn, solve
from models.predictors.memory import Allocator, make_records, square_matrix

_LONG_TERM = np.dtype(
    [
        *((name, np.int64) for name in ("block", "before", "after", "side", "own", "other")),
        *((name, np.int64) for name in ("interval", "warmup", "reference")),
        *((name, np.int64) for name in ("size", "width", "num_experts", "combined")),
        *((name, np.int64) for name in ("time", "active", "updates")),
        *((name, np.float64) for name in ("lowest", "highest", "decay")),
        *((name, np.float64) for name in ("spread", "prediction", "base", "difference")),
        *((name, np.int64) for name in ("inputs", "weights", "targets", "covariance", "scratch")),
        ("experts", np.int64),
    ],
    align=True,
)
"""...; D, and padded; K; M; the next sample's frame, whether its block has lags; the bank's
prediction of it, and the reference's less that; where vectors and matrices lie in float64."""


_SETTINGS = (
    *("block", "before", "after", "side", "own", "other", "interval", "warmup"),
    *("reference", "decay"),
)


class LongTerm(NamedTuple):
    """The state of long-term prediction in one channel of a segment.

    Attributes:
      record: [1].
      combination: [1], of the bank's combinations and the prediction.
      lags: int64 [B, L] or [0, L], see `init_long_term`.
      errors: of the reference, up to now, float32 [n]; or [0] where no block has any lags.
      differences: of its predictions from the bank's, likewise.
      others: errors of the channel before this one, float32 [n]; or [0].
      doubles: float64.
    """

    record: np.ndarray
    combination: np.ndarray
    lags: np.ndarray
    errors: np.ndarray
    differences: np.ndarray
    others: np.ndarray
    doubles: np.ndarray


def init_long_term(
    predictors: AdaptivePredictorsConfig,
    depth: int,
    lags: np.ndarray,
    frames: int,
    before: LongTerm | None = None,
) -> LongTerm:
    """Returns the state before the first sample of a channel of a segment.

    Args:
      predictors: the settings, of the bank, too.
      depth: bits per sample.
      lags: frames that each block's places lie before it, int64 [B, L]; 0 is none. They may be
        written later, before their block. [0, L]: no block has any.
      frames: n, of the segment.
      before: the state of the channel before this one at its end, where there is one.

    Raises:
      DataError: a lag reaches beyond the segment's start, or into what is not yet known.
    """
    config, combined = predictors.long_term, len(predictors.combination.decays)
    if lags.size:
        lags = check_lags(lags, frames, config)
    else:
        frames = 0
    if before is not None and before.errors.size != frames:
        raise ValueError(f"the channel before has {before.errors.size} frames, not {frames}")
    size = config.lags * (config.before + 1 + config.after) + config.own + 1
    if before is not None:
        size += config.lags * (2 * config.side + 1) + 2 * config.other + 1
    width = padded(size)
    allocator = Allocator()
    values = {
        **{name: getattr(config, name) for name in _SETTINGS},
        "size": size,
        "width": width,
        "num_experts": predictors.num_experts,
        "combined": combined,
        "lowest": -(2.0 ** (depth - 1)),
        "highest": 2.0 ** (depth - 1) - 1,
        **{name: allocator.doubles(width) for name in ("inputs", "weights", "targets")},
        **{name: allocator.doubles(width * width) for name in ("covariance", "scratch")},
        "experts": allocator.doubles(padded(combined + 1)),
    }
    combination = init_combinations(combined + 1, (config.combination_decay,), 1, allocator)
    return LongTerm(
        record=make_records(_LONG_TERM, [values]),
        combination=combination,
        lags=lags,
        errors=np.zeros(frames, np.float32),
        differences=np.zeros(frames, np.float32),
        others=np.zeros(0, np.float32) if before is None else before.errors,
        doubles=allocator.allocate().doubles,
    )


@jit
def predict_long_term(
    state: LongTerm,
    base: float,
    offsets: np.ndarray,  # float32 [K + M or more]
) -> float:
    """Returns the prediction of the next sample.

    Args:
      state: of the channel.
      base: the bank's prediction.
      offsets: the predictions of its experts and combinations, less `base`.
    """
    if not state.lags.size:
        return base
    record, doubles = state.record[0], state.doubles
    record.base, record.difference = base, np.float64(offsets[record.reference])
    if record.time % record.block == 0:
        _begin_block(state)
    # The bank predicts nothing else only in silence, which is all there is to know.
    if not record.active or base == 0.0:
        return base
    inputs = doubles[record.inputs : record.inputs + record.width]
    weights = doubles[record.weights : record.weights + record.width]
    _gather(state, record.time, record.difference, inputs)
    prediction = dot(weights, inputs)
    record.prediction = prediction

    experts = doubles[record.experts : record.experts + padded(record.combined + 1)]
    for m in range(record.combined):
        experts[m] = np.float64(offsets[record.num_experts + m])
    experts[record.combined] = prediction
    total = base + predict_combination(state.combination[0], experts, doubles)
    # NaN becomes the least sample.
    if not total > record.lowest:
        return record.lowest
    return min(total, record.highest)


@jit
def update_long_term(state: LongTerm, sample: float) -> None:
    """Learns the sample that has just been predicted."""
    if not state.lags.size:
        return
    record, doubles = state.record[0], state.doubles
    error = sample - record.base
    state.errors[record.time] = error - record.difference
    state.differences[record.time] = record.difference
    record.time += 1
    if not record.active or record.base == 0.0:
        return
    experts = doubles[record.experts : record.experts + padded(record.combined + 1)]
    update_combination(state.combination[0], experts, doubles, error)
    _learn(record, doubles, record.prediction, error)
    record.updates += 1
    if record.updates == record.interval:
        record.updates = 0
        _solve(record, doubles)


@jit
def run_long_term(
    state: LongTerm,
    samples: np.ndarray,  # int32 [n]
    bank_base: np.ndarray,  # float64 [n]
    offsets: np.ndarray,  # float32 [n, K + M or more], less the bank's base
    base: np.ndarray,  # float64 [n]
) -> None:
    """Predicts a stretch of samples, of which the bank's predictions have been kept.

    `predict_long_term` and `update_long_term`, called for one sample after the other, do the same.
    """
    for t in range(samples.size):
        base[t] = predict_long_term(state, bank_base[t], offsets[t])
        update_long_term(state, np.float64(samples[t]))


@jit
def _begin_block(state: LongTerm) -> None:
    """Where lags are new, what has been learnt with others is forgotten."""
    record, doubles, lags = state.record[0], state.doubles, state.lags
    block = record.time // record.block
    record.active = 0
    new = block == 0
    for k in range(lags.shape[1]):
        if lags[block, k]:
            record.active = 1
        if not new and lags[block, k] != lags[block - 1, k]:
            new = True
    if not record.active or not new:
        return
    width = record.width
    doubles[record.targets : record.targets + width] = 0.0
    doubles[record.covariance : record.covariance + width * width] = 0.0
    inputs = doubles[record.inputs : record.inputs + width]
    record.spread = 0.0
    for t in range(max(record.time - record.warmup, 0), record.time):
        difference = np.float64(state.differences[t])
        _gather(state, t, difference, inputs)
        _learn(record, doubles, 0.0, np.float64(state.errors[t]) + difference)
    record.updates = 0
    _solve(record, doubles)


@jit
def _gather(state: LongTerm, time: int, difference: float, inputs: np.ndarray) -> None:
    """Writes what is known of a sample, with the lags of the current block."""
    record, lags = state.record[0], state.lags
    block = record.time // record.block
    stereo = state.others.size > 0
    outside = state.errors.size + record.before + record.side
    at = 0
    for k in range(lags.shape[1]):
        place = time - lags[block, k] if lags[block, k] else outside
        taps = record.before + 1 + record.after
        _copy(state.errors, place - record.before, inputs[at : at + taps])
        at += taps
        if stereo:
            taps = 2 * record.side + 1
            _copy(state.others, place - record.side, inputs[at : at + taps])
            at += taps
    _copy(state.errors, time - record.own, inputs[at : at + record.own])
    at += record.own
    inputs[at] = difference
    at += 1
    if stereo:
        taps = 2 * record.other + 1
        _copy(state.others, time - record.other, inputs[at : at + taps])


@jit
def _copy(errors: np.ndarray, first: int, inputs: np.ndarray) -> None:
    """Copies errors from a frame on; outside the segment they are zero."""
    for i in range(inputs.size):
        inputs[i] = errors[first + i] if 0 <= first + i < errors.size else 0.0


@jit
def _learn(record: Any, doubles: np.ndarray, prediction: float, error: float) -> None:
    width = record.width
    inputs = doubles[record.inputs : record.inputs + width]
    targets = doubles[record.targets : record.targets + width]
    covariance = square_matrix(doubles, record.covariance, width)
    spread = 0.5 * record.spread + abs(error - prediction)
    record.spread = spread
    root = np.sqrt(spread + 2.0)
    weight = (1.0 - record.decay) / (root * np.sqrt(root))
    learn(covariance, targets, record.size, record.decay, weight, inputs, error)


@jit
def _solve(record: Any, doubles: np.ndarray) -> None:
    width = record.width
    targets = doubles[record.targets : record.targets + width]
    covariance = square_matrix(doubles, record.covariance, width)
    scratch = square_matrix(doubles, record.scratch, width)
    weights = doubles[record.weights : record.weights + width]
    solve(covariance, 25.0 * (1.0 - record.decay), targets, record.size, scratch, weights)
