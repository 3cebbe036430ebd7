"""One channel of a segment, sample by sample: predictors, features, network, mixture.

n samples, K experts and combinations, F features.

One compiled loop serves evaluation and codec: what is measured is what is coded.
"""

from typing import NamedTuple

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.adaptation import adapt
from models.exact.functions import LOG2_E, SIGMOID, exp2
from models.exact.mixture import ExactMixture, cumulative_frequency, set_mixture, total_frequency
from models.exact.network import ExactMlp, apply_mlp, fresh_copy
from models.predictors.bank import Bank, init_bank, predict, require_denormals, show, update
from models.predictors.compile import jit
from models.predictors.extract import count_experts, count_features
from models.predictors.features import extract_features, init_features, update_features
from models.predictors.least_squares import AHEAD
from models.predictors.memory import Allocator, push


class Stream(NamedTuple):
    """The state of a channel.

    Attributes:
      bank: the predictors.
      features: a record, and `feature_memory`, what it refers to.
      network, mixture: from features to frequencies.
      experts: float64 [K], predictions of the next sample.
      inputs: float32 [F], its features.
      gradient: float32 [O], of the last sample's cost.
      rates: float64 [2], of learning, of the last layer's biases and its weights.
    """

    bank: Bank
    features: np.ndarray
    feature_memory: np.ndarray
    network: ExactMlp
    mixture: ExactMixture
    experts: np.ndarray
    inputs: np.ndarray
    gradient: np.ndarray
    rates: np.ndarray


def init_stream(config: AdaptiveModelConfig, network: ExactMlp, *, stereo: bool = False) -> Stream:
    """Returns the state before the first sample of a channel in a segment.

    Args:
      config: the model's.
      network: the trained network; it is not changed.
      stereo: whether the samples of another channel are known.
    """
    allocator = Allocator()
    experts = count_experts(config.predictors)
    features = init_features(experts, allocator)
    components = config.distribution.num_components
    full_scale = 2.0 ** (config.depth - 1)
    limits = (config.distribution.min_log_scale, config.distribution.max_log_scale)
    network = fresh_copy(network)
    return Stream(
        bank=init_bank(config.predictors, config.depth, stereo=stereo),
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
        experts=np.zeros(experts),
        inputs=np.zeros(count_features(config.predictors), np.float32),
        gradient=np.zeros_like(network.outputs),
        rates=np.array([config.adaptation.bias_rate, config.adaptation.rate]),
    )


@jit
def code_channel(
    stream: Stream,
    samples: np.ndarray,  # int32 [n]
    other: np.ndarray,  # int32 [n], or [0]
    frequencies: np.ndarray,  # int64 [n]
) -> int:
    """Writes the frequency of each sample; returns the total of all samples' frequencies."""
    bank = stream.bank
    require_denormals(bank)
    count = min(AHEAD, other.size)
    for t in range(count):
        push(bank.histories[1], bank.doubles, np.float64(other[t]))
    for t in range(samples.size):
        if other.size:
            ahead = t + AHEAD
            known = np.float64(other[ahead]) if ahead < other.size else 0.0
            push(bank.histories[1], bank.doubles, known)
        sample = np.float64(samples[t])
        base = predict(bank)
        show(bank, stream.experts)
        scale = extract_features(
            stream.features[0], stream.feature_memory, stream.experts, base, stream.inputs
        )
        current = apply_mlp(stream.network, stream.inputs)
        set_mixture(stream.mixture, stream.network.outputs, scale)
        below = cumulative_frequency(stream.mixture, sample, base)
        above = cumulative_frequency(stream.mixture, sample + 1.0, base)
        frequencies[t] = above - below
        adapt(
            stream.network,
            current,
            stream.mixture,
            stream.gradient,
            sample - base,
            scale,
            stream.rates[0],
            stream.rates[1],
        )
        update_features(stream.features[0], stream.feature_memory, stream.experts, base, sample)
        update(bank, sample)
    return total_frequency(stream.mixture)
