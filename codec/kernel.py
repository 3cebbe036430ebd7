"""From bits to samples of a channel, in one compiled loop.

n frames of a segment, m of a stretch.
"""

from typing import Any

import numpy as np

from codec.range_coder import consume, target
from models.exact.mixture import ExactMixture, cumulative_frequency, total_frequency
from models.exact.stream import Stream, begin_sample, end_sample
from models.predictors.bank import (
    know_first,
    know_next,
    predict,
    require_denormals,
    show,
    update,
)
from models.predictors.compile import jit


@jit
def decode_stretch(
    stream: Stream,
    other: np.ndarray,  # int32 [n], or [0]
    first: int,
    coder: Any,
    data: np.ndarray,  # uint8
    samples: np.ndarray,  # int32 [m]
) -> None:
    """Writes the next samples of a channel.

    Args:
      stream: before frame `first`, where the last stretch has ended.
      other: the channel before this one, of which 8 frames more are known by now.
      first: frame of the first sample.
      coder: the range decoder.
      data: the code.
      samples: is written.
    """
    bank, mixture = stream.bank, stream.mixture
    require_denormals(bank)
    if first == 0:
        know_first(bank, other)
    total = total_frequency(mixture)
    for i in range(samples.size):
        know_next(bank, other, first + i)
        bank_base = predict(bank)
        show(bank, bank_base, stream.offsets)
        base, scale, count = begin_sample(stream, stream.offsets, bank_base)
        wanted = target(coder, total)
        sample = _find(mixture, base, wanted)
        below = cumulative_frequency(mixture, sample, base)
        above = cumulative_frequency(mixture, sample + 1.0, base)
        consume(coder, data, below, above - below, total)
        samples[i] = np.int32(sample)
        end_sample(stream, stream.offsets, bank_base, base, scale, count, sample)
        update(bank, sample)


@jit
def _find(mixture: ExactMixture, base: float, wanted: int) -> float:
    """Returns the sample in whose share a number lies: brackets from the base, then bisects."""
    lowest, highest = mixture.limits[0], mixture.limits[1]
    low = min(max(np.floor(base), lowest), highest)
    step = max(np.floor(1.0 / mixture.inverse_scales[0]), 1.0)
    if cumulative_frequency(mixture, low, base) <= wanted:
        high = low + step
        while high <= highest and cumulative_frequency(mixture, high, base) <= wanted:
            low = high
            step *= 2.0
            high = low + step
        high = min(high, highest + 1.0)
    else:
        high = low
        low = high - step
        while low > lowest and cumulative_frequency(mixture, low, base) > wanted:
            high = low
            step *= 2.0
            low = high - step
        low = max(low, lowest)
    # C(low) <= wanted < C(high).
    while high - low > 1.0:
        middle = np.floor((low + high) * 0.5)
        if cumulative_frequency(mixture, middle, base) <= wanted:
            low = middle
        else:
            high = middle
    return low
