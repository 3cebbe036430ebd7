"""One channel of a segment, sample by sample: predictors, features, network, mixture.

n samples, K experts and combinations, F features.

What is measured is what is coded: `share_of` serves evaluation and codec.
"""

from typing import Any, NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.adaptation import adapt
from models.exact.functions import LOG2_E, SIGMOID, exp2
from models.exact.mixture import ExactMixture, cumulative_frequency, set_mixture, total_frequency
from models.exact.network import ExactMlp, apply_mlp, fresh_copy
from models.predictors.bank import (
    Bank,
    init_bank,
    know_first,
    know_next,
    predict,
    require_denormals,
    show,
    update,
)
from models.predictors.compile import inlined, jit
from models.predictors.extract import count_experts, count_features
from models.predictors.features import extract_features, init_features, update_features
from models.predictors.long_term import (
    LongTerm,
    init_long_term,
    predict_long_term,
    update_long_term,
)
from models.predictors.memory import Allocator


class Stream(NamedTuple):
    """The state of a channel.

    Attributes:
      bank: the predictors.
      long_term: what follows them.
      features: a record, and `feature_memory`, what it refers to.
      network, mixture: from features to frequencies.
      offsets: float32 [K], what `bank.show` shows of the next sample.
      inputs: float32 [F], its features.
      gradient: float32 [O], of the last sample's cost.
      rates: float64 [2], of learning, of the last layer's biases and its weights.
    """

    bank: Bank
    long_term: LongTerm
    features: np.ndarray
    feature_memory: np.ndarray
    network: ExactMlp
    mixture: ExactMixture
    offsets: np.ndarray
    inputs: np.ndarray
    gradient: np.ndarray
    rates: np.ndarray


def init_stream(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    lags: np.ndarray,
    frames: int,
    before: Stream | None = None,
) -> Stream:
    """Returns the state before the first sample of a channel in a segment.

    Args:
      config: the model's.
      network: the trained network; it is not changed.
      lags: of the segment's blocks, see `long_term`.
      frames: n.
      before: the channel before this one at its end, where there is one.

    Raises:
      DataError: lags that cannot be.
    """
    allocator = Allocator()
    experts = count_experts(config.predictors)
    features = init_features(experts, allocator)
    components = config.distribution.num_components
    full_scale = 2.0 ** (config.depth - 1)
    limits = (config.distribution.min_log_scale, config.distribution.max_log_scale)
    network = fresh_copy(network)
    return Stream(
        bank=init_bank(config.predictors, config.depth, stereo=before is not None),
        long_term=init_long_term(
            config.predictors,
            config.depth,
            lags,
            frames,
            None if before is None else before.long_term,
        ),
        features=features,
        feature_memory=allocator.allocate().doubles,
        network=network,
        mixture=ExactMixture(
            weights=np.zeros(components, np.int64),
            probabilities=np.zeros(components),
            centres=np.zeros(components),
            inverse_scales=np.zeros(components),
            limits=np.array([-full_scale, full_scale - 1]),
            scale_limits=np.array([exp2(-limit * LOG2_E) for limit in limits]),
            table=SIGMOID,
        ),
        offsets=np.zeros(experts, np.float32),
        inputs=np.zeros(count_features(config.predictors), np.float32),
        gradient=np.zeros_like(network.outputs),
        rates=np.array([config.adaptation.bias_rate, config.adaptation.rate]),
    )


@inlined
def begin_sample(
    stream: Stream,
    offsets: np.ndarray,  # float32 [K]
    bank_base: float,
) -> Any:
    """Sets the mixture of the next sample; returns what `end_sample` needs.

    Args:
      stream: of the channel.
      offsets: what `bank.show` shows of the sample, and
      bank_base: the bank's prediction.

    Returns:
      base: the prediction; scale: its recent mean error; count: see `apply_mlp`.
    """
    base = predict_long_term(stream.long_term, bank_base, offsets)
    scale = extract_features(
        stream.features[0], stream.feature_memory, offsets, bank_base, base, stream.inputs
    )
    count = apply_mlp(stream.network, stream.inputs)
    set_mixture(stream.mixture, stream.network.outputs, scale)
    return base, scale, count


@inlined
def end_sample(
    stream: Stream,
    offsets: np.ndarray,  # float32 [K]
    bank_base: float,
    base: float,
    scale: float,
    count: int,
    sample: float,
) -> None:
    """Learns the sample, all but the bank, of which others know the predictions."""
    adapt(
        stream.network,
        count,
        stream.mixture,
        stream.gradient,
        sample - base,
        scale,
        stream.rates[0],
        stream.rates[1],
    )
    update_features(stream.features[0], stream.feature_memory, offsets, bank_base, base, sample)
    update_long_term(stream.long_term, sample)


@inlined
def share_of(
    stream: Stream,
    offsets: np.ndarray,  # float32 [K]
    bank_base: float,
    sample: float,
) -> Any:
    """Returns the cumulative frequencies below and up to the next sample, and learns it."""
    base, scale, count = begin_sample(stream, offsets, bank_base)
    below = cumulative_frequency(stream.mixture, sample, base)
    above = cumulative_frequency(stream.mixture, sample + 1.0, base)
    end_sample(stream, offsets, bank_base, base, scale, count, sample)
    return below, above


@jit
def stretch_shares(
    stream: Stream,
    samples: np.ndarray,  # int32 [m]
    offsets: np.ndarray,  # float32 [m, K]
    bank_base: np.ndarray,  # float64 [m]
    below: np.ndarray,  # int64 [m]
    frequencies: np.ndarray,  # int64 [m]
) -> Any:
    """Writes the share of each sample; returns the total of all samples' frequencies.

    Args:
      stream: of the channel; its bank is not used.
      samples: the next ones of the channel.
      offsets: what `bank.run` shows of them, and
      bank_base: the bank's predictions.
      below: is written: the sum of the frequencies of lesser samples.
      frequencies: is written.
    """
    require_denormals(stream.bank)
    for t in range(samples.size):
        low, high = share_of(stream, offsets[t], bank_base[t], np.float64(samples[t]))
        below[t], frequencies[t] = low, high - low
    return total_frequency(stream.mixture)


@jit
def fused_frequencies(
    stream: Stream,
    samples: np.ndarray,  # int32 [n]
    other: np.ndarray,  # int32 [n], or [0]
    frequencies: np.ndarray,  # int64 [n]
) -> Any:
    """Writes frequencies as `stretch_shares`, sample by sample with the bank, as a decoder must."""
    require_denormals(stream.bank)
    know_first(stream.bank, other)
    for t in range(samples.size):
        know_next(stream.bank, other, t)
        sample = np.float64(samples[t])
        bank_base = predict(stream.bank)
        show(stream.bank, bank_base, stream.offsets)
        low, high = share_of(stream, stream.offsets, bank_base, sample)
        frequencies[t] = high - low
        update(stream.bank, sample)
    return total_frequency(stream.mixture)
