"""The bank: all adaptive predictors of one channel, and their combination.

K experts, K' of them padded to a multiple of LANES; M combinations of them.

One implementation serves training, evaluation and the codec. It computes nothing whose last bit
could depend on the machine: sums, products, quotients and square roots of floats, in an order that
is written.
"""

from typing import NamedTuple

import numpy as np

from models.predictors.combination import (
    init_combinations,
    predict_combination,
    update_combination,
)
from models.predictors.compile import jit
from models.predictors.config import AdaptivePredictorsConfig, HighOrderConfig, LeastSquaresConfig
from models.predictors.high_order import (
    fill_high_order,
    init_high_order,
    predict_high_order,
    update_high_order,
)
from models.predictors.lanes import LANES, padded
from models.predictors.least_squares import (
    AHEAD,
    init_least_squares,
    predict_least_squares,
    update_least_squares,
)
from models.predictors.memory import HISTORY, Allocator, history_fields, make_records, push
from models.predictors.nlms import init_nlms, predict_nlms, update_nlms

_CHAIN = np.dtype([("high_order", np.int64), ("index", np.int64), ("stages", np.int64)], align=True)
_BANK = np.dtype(
    [
        *((name, np.int64) for name in ("experts", "num_experts", "combined", "num_combined")),
        *((name, np.float64) for name in ("lowest", "highest", "smallest_normal")),
        *((name, np.int64) for name in ("silence", "longest")),
    ],
    align=True,
)


class Bank(NamedTuple):
    """The state of a bank: records, and the vectors that they refer to.

    Attributes:
      bank: [1]; where the experts' predictions of the next sample lie, and the combinations', in
        float64; the least and the greatest sample; zeros in a row, and how many make a silence.
      chains: [C], of what kind the head is, its index there, how many stages follow.
      histories: [2], of this channel and of the other one.
      least_squares, high_order, nlms: the predictors.
      combinations: [M + 1]; the last one is that of the others.
      doubles, singles: float64 and float32.
    """

    bank: np.ndarray
    chains: np.ndarray
    histories: np.ndarray
    least_squares: np.ndarray
    high_order: np.ndarray
    nlms: np.ndarray
    combinations: np.ndarray
    doubles: np.ndarray
    singles: np.ndarray


def init_bank(config: AdaptivePredictorsConfig, depth: int, *, stereo: bool = False) -> Bank:
    """Returns the state before the first sample of a channel.

    Args:
      config: the predictors.
      depth: bits per sample.
      stereo: whether another channel is known, AHEAD samples beyond the predicted one.
    """
    allocator = Allocator()
    heads = [chain.head for chain in config.chains]
    stages = [stage for chain in config.chains for stage in chain.stages]
    few = [head for head in heads if isinstance(head, LeastSquaresConfig)]
    many = [head for head in heads if isinstance(head, HighOrderConfig)]
    chains, counts = [], [0, 0]
    for chain in config.chains:
        high = int(isinstance(chain.head, HighOrderConfig))
        chains.append({"high_order": high, "index": counts[high], "stages": len(chain.stages)})
        counts[high] += 1
    decays = config.combination.decays
    longest = max(filter_.taps for filter_ in (*heads, *stages))
    others = max([head.past for head in few], default=0) + 2 * AHEAD
    state = {
        "experts": allocator.doubles(padded(config.num_experts)),
        "num_experts": config.num_experts,
        "combined": allocator.doubles(padded(len(decays))),
        "num_combined": len(decays),
        "lowest": -(2.0 ** (depth - 1)),
        "highest": 2.0 ** (depth - 1) - 1,
        "longest": longest + LANES,
        "smallest_normal": np.finfo(np.float64).tiny,
    }
    histories = [
        history_fields(allocator, longest + LANES),
        history_fields(allocator, padded(others)),
    ]
    every = config.combination.interval
    combinations = [
        init_combinations(config.num_experts, decays, every, allocator),
        init_combinations(len(decays), (config.combination.decay,), 1, allocator),
    ]
    least_squares = init_least_squares(few, stereo, allocator)
    high_order = init_high_order(many, allocator)
    nlms = init_nlms(stages, allocator)
    memory = allocator.allocate()
    fill_high_order(high_order, memory.doubles)
    return Bank(
        bank=make_records(_BANK, [state]),
        chains=make_records(_CHAIN, chains),
        histories=make_records(HISTORY, histories),
        least_squares=least_squares,
        high_order=high_order,
        nlms=nlms,
        combinations=np.concatenate(combinations),
        doubles=memory.doubles,
        singles=memory.singles,
    )


@jit
def _clip(value: float, lowest: float, highest: float) -> float:
    # NaN, of a filter that has just diverged, becomes the least sample.
    if not value > lowest:
        return lowest
    return min(value, highest)


@jit
def predict(bank: Bank) -> float:
    """Returns the base: the prediction of the next sample."""
    state, doubles, singles = bank.bank[0], bank.doubles, bank.singles
    lowest, highest = state.lowest, state.highest
    own, other = bank.histories[0], bank.histories[1]
    chains, nlms = bank.chains, bank.nlms
    least_squares, high_order = bank.least_squares, bank.high_order
    experts = doubles[state.experts : state.experts + padded(state.num_experts)]
    combined = doubles[state.combined : state.combined + padded(state.num_combined)]
    if state.silence > state.longest:
        experts[:] = 0.0
        combined[:] = 0.0
        return 0.0
    expert = stage = 0
    for c in range(chains.size):
        chain = chains[c]
        if chain.high_order:
            head = predict_high_order(high_order[chain.index], own, doubles)
        else:
            head = predict_least_squares(least_squares[chain.index], own, other, doubles)
        total = _clip(head, lowest, highest)
        experts[expert] = total
        expert += 1
        for _ in range(chain.stages):
            total += predict_nlms(nlms[stage], singles)
            experts[expert] = _clip(total, lowest, highest)
            stage += 1
            expert += 1
    combinations = bank.combinations
    for m in range(state.num_combined):
        prediction = predict_combination(combinations[m], experts, doubles)
        combined[m] = _clip(prediction, lowest, highest)
    if state.num_combined == 1:
        return combined[0]
    prediction = predict_combination(combinations[state.num_combined], combined, doubles)
    return _clip(prediction, lowest, highest)


@jit
def update(bank: Bank, sample: float) -> None:
    """Learns the sample that has just been predicted."""
    state, doubles, singles = bank.bank[0], bank.doubles, bank.singles
    own = bank.histories[0]
    if sample != 0.0:
        state.silence = 0
    else:
        state.silence += 1
        if state.silence > state.longest + 1:
            # Nothing is learnt from silence, and memories do not fade away in it: sums that
            # decay for seconds would end as denormal numbers, which are slow.
            return
    chains, nlms = bank.chains, bank.nlms
    least_squares, high_order = bank.least_squares, bank.high_order
    experts = doubles[state.experts : state.experts + padded(state.num_experts)]
    combinations = bank.combinations
    combined = doubles[state.combined : state.combined + padded(state.num_combined)]
    for m in range(state.num_combined):
        update_combination(combinations[m], experts, doubles, sample)
    if state.num_combined > 1:
        update_combination(combinations[state.num_combined], combined, doubles, sample)
    push(own, doubles, sample)
    expert = stage = 0
    for c in range(chains.size):
        chain = chains[c]
        if chain.high_order:
            update_high_order(high_order[chain.index], own, doubles, singles)
        else:
            update_least_squares(least_squares[chain.index], doubles, sample)
        left = sample - experts[expert]
        expert += 1 + chain.stages
        for _ in range(chain.stages):
            left = update_nlms(nlms[stage], singles, left)
            stage += 1


@jit
def know_first(bank: Bank, other: np.ndarray) -> None:  # int32 [n], or [0]
    """Gives the bank the first samples of another channel, before the first is predicted."""
    for t in range(min(AHEAD, other.size)):
        push(bank.histories[1], bank.doubles, np.float64(other[t]))


@jit
def know_next(bank: Bank, other: np.ndarray, time: int) -> None:  # int32 [n], or [0]
    """Gives the bank one more of them, before sample `time` is predicted."""
    if other.size:
        ahead = time + AHEAD
        known = np.float64(other[ahead]) if ahead < other.size else 0.0
        push(bank.histories[1], bank.doubles, known)


@jit
def require_denormals(bank: Bank) -> None:
    """Raises ValueError if this thread takes denormal numbers for zero, as some libraries make it.

    Of the machine's settings, this is the one that could change a result.
    """
    if not bank.bank[0].smallest_normal * 0.5 > 0.0:
        raise ValueError(
            "denormal numbers are zero in this thread: no exact prediction is possible"
        )


@jit
def show(bank: Bank, base: float, offsets: np.ndarray) -> None:  # float32 [K + M]
    """Writes what the experts, and then their combinations, have predicted, less the base.

    Of 24 bits, predictions themselves would have no fractions in float32.
    """
    state = bank.bank[0]
    count = state.num_experts
    for k in range(count):
        offsets[k] = bank.doubles[state.experts + k] - base
    for m in range(state.num_combined):
        offsets[count + m] = bank.doubles[state.combined + m] - base


@jit
def run(
    bank: Bank,
    samples: np.ndarray,  # int32 [n]
    other: np.ndarray,  # int32 [n], or [0]
    first: int,
    offsets: np.ndarray,  # float32 [m, K + M]
    base: np.ndarray,  # float64 [m]
) -> None:
    """Predicts samples [first, first + m), each from those before it; writes what `show` shows.

    `predict` and `update`, called for one sample after the other, do the same. A stretch begins
    where the last one has ended.

    Raises:
      ValueError: see `require_denormals`.
    """
    require_denormals(bank)
    if first == 0:
        know_first(bank, other)
    for i in range(base.size):
        t = first + i
        know_next(bank, other, t)
        base[i] = predict(bank)
        show(bank, base[i], offsets[i])
        update(bank, np.float64(samples[t]))
