"""A channel of a segment in exact arithmetic: what the model computes, and what adapts."""

import dataclasses
import hashlib

import numba
import numpy as np
import pytest

from models.build import build_model
from models.config import (
    AdaptationConfig,
    AdaptiveModelConfig,
    MlpConfig,
    ResidualMixtureConfig,
)
from models.exact.analysis import measure_segment
from models.exact.network import apply_mlp, make_mlp
from models.exact.segment import segment_frequencies
from models.predictors.config import LongTermConfig
from models.predictors.extract import count_features
from models.predictors.lanes import add_rows
from tests.models.other_processor import digest_elsewhere
from tests.models.predictors.signals import noise, tones
from tests.models.predictors.test_bank import SMALL
from tests.models.test_adaptive import make_batch

WIDTH = 24
GOLDEN = "3ef0f847e3472c8de904aba0d2033298fa16cb9052c6bd935c8aca0659ba5ae0"


def config(rate=0.0, bias_rate=0.0, depth=16):
    return AdaptiveModelConfig(
        depth=depth,
        predictors=dataclasses.replace(SMALL, long_term=LongTermConfig(block=1000)),
        network=MlpConfig(width=WIDTH),
        distribution=ResidualMixtureConfig(num_components=3),
        adaptation=AdaptationConfig(rate=rate, bias_rate=bias_rate),
    )


def make_params(seed=1):
    """Parameters made of integers, and so the same on every machine."""

    def layer(inputs, outputs, size, seed):
        kernel = noise(inputs * outputs, seed).reshape(inputs, outputs) * np.float32(size / 1000)
        return {
            "kernel": kernel.astype(np.float32),
            "bias": (noise(outputs, seed + 1) / 4096).astype(np.float32),
        }

    features = count_features(SMALL)
    distribution = layer(WIDTH, 9, 0.02, seed + 4)
    distribution["bias"][6:] = -0.5, 0.5, 2.0
    return {
        "network": {
            "layer_0": layer(features, WIDTH, 0.02, seed),
            "layer_1": layer(WIDTH, WIDTH, 0.15, seed + 2),
        },
        "distribution": {"Dense_0": distribution},
    }


def stereo(size=4000):
    left = tones(size)
    return np.stack([left, np.roll(left, 3) // 2 + noise(size, 5, 20)], 1)


def repeated(size=6000):
    """Noise that comes again, with other noise: what only long-term prediction foresees."""
    word = noise(size // 2, 7, 3000)
    left = np.concatenate([word, word]) + noise(size, 8, 60)
    return np.stack([left, left // 3 + noise(size, 9, 300)], 1)


def segment_bits(*arguments):
    return measure_segment(*arguments).bits


def digest():
    settings, network = config(rate=0.01, bias_rate=0.001), make_mlp(make_params())
    lags = np.zeros((6, 3), np.int64)
    lags[3:, 0], lags[3, 1] = 3000, 1999
    found = [
        segment_frequencies(settings, network, np.ascontiguousarray(frames.T), used)
        for frames, used in ((stereo(), np.zeros((4, 3), np.int64)), (repeated(), lags))
    ]
    return hashlib.sha256(b"".join(x.tobytes() for x in found)).hexdigest()


@pytest.mark.parametrize("signal", [stereo, repeated])
def test_a_decoder_sees_the_same_frequencies(signal):
    settings, network, frames = config(rate=0.01), make_mlp(make_params()), signal()
    cost = measure_segment(settings, network, frames)
    found = segment_frequencies(settings, network, cost.shares.samples, cost.shares.lags)
    np.testing.assert_array_equal(found, cost.shares.frequencies)


def test_the_channel_that_tells_more_comes_first():
    frames = stereo(6000)
    # The first is the sum of the second, delayed, and of noise.
    frames = np.stack([np.roll(frames[:, 0], 6) // 2 + noise(6000, 4, 400), frames[:, 0]], 1)
    settings, network = config(), make_mlp(make_params())
    cost = measure_segment(settings, network, frames)
    other = measure_segment(settings, network, frames[:, ::-1])
    assert cost.shares.is_swapped != other.shares.is_swapped
    np.testing.assert_array_equal(cost.bits, other.bits[:, ::-1])


def test_what_comes_again_costs_less():
    cost = measure_segment(config(), make_mlp(make_params()), repeated())
    assert cost.shares.lags.any() and cost.side_bits > 0
    assert cost.bits[4500:].mean() < cost.bits[1500:3000].mean() - 1


@numba.njit
def jit_add_rows(y, x, rows, matrix):
    add_rows(y, x, rows, x.size, matrix)


def test_rows_are_added_one_after_the_other():
    rng = np.random.default_rng(0)
    for outputs in (8, 24, 64, 88, 136):
        matrix = rng.normal(size=(33, outputs)).astype(np.float32)
        rows = rng.permutation(33)[:20]
        x = rng.normal(size=20).astype(np.float32)
        expected = rng.normal(size=outputs).astype(np.float32)
        y = expected.copy()
        jit_add_rows(y, x, rows, matrix)
        for factor, row in zip(x, matrix[rows], strict=True):
            expected = expected + factor * row
        np.testing.assert_array_equal(y, expected)


def test_the_network_computes_what_it_did_in_training():
    params = make_params()
    network = make_mlp(params)
    inputs = np.random.default_rng(0).normal(size=count_features(SMALL)).astype(np.float32)
    apply_mlp(network, inputs)
    hidden = inputs
    for layer in params["network"].values():
        hidden = np.maximum(hidden @ layer["kernel"] + layer["bias"], 0)
    last = params["distribution"]["Dense_0"]
    expected = hidden @ last["kernel"] + last["bias"]
    np.testing.assert_allclose(network.outputs[:9], expected, rtol=1e-4, atol=1e-5)
    assert not network.outputs[9:].any()


@pytest.mark.parametrize("depth", [8, 16, 24])
def test_within_a_thousandth_of_the_float_model(depth):
    # In 24 bits with what the scale is too fine for.
    samples = (tones(600).astype(np.int64) * 2**depth >> 16) + (
        noise(600, 1, 200) if depth == 24 else 0
    )
    model, params = build_model(config(depth=depth)), make_params()
    nats = -model.log_likelihood(params, model.prepare(make_batch(samples)))
    bits = model.segment_costs(params, samples[:, None])["coded samples"] / np.log(2)
    assert bits.mean() == pytest.approx(float(nats.mean()) / np.log(2), rel=1e-3)


def test_side_information_is_in_equal_shares_of_all_samples():
    model, params = build_model(config()), make_params()
    parts = model.segment_costs(params, repeated())
    side = parts["hints to the decoder"]
    assert side.shape == parts["coded samples"].shape and np.ptp(side) == 0
    cost = measure_segment(config(), make_mlp(params), repeated())
    assert cost.side_bits > 0
    assert side.sum(dtype=np.float64) / np.log(2) == pytest.approx(cost.side_bits, rel=1e-6)


def test_what_was_scaled_up_costs_a_byte_more():
    network = make_mlp(make_params())
    plain = measure_segment(config(rate=0.01), network, stereo())
    scaled = measure_segment(config(rate=0.01, depth=24), network, stereo() << 8)
    np.testing.assert_array_equal(scaled.bits, plain.bits)
    assert scaled.side_bits == plain.side_bits + 8
    # A decoder knows the depth.
    found = segment_frequencies(
        config(rate=0.01, depth=24), network, scaled.shares.samples, scaled.shares.lags
    )
    np.testing.assert_array_equal(found, plain.shares.frequencies)


def test_the_second_channel_sees_the_first():
    frames, network = stereo(), make_mlp(make_params())
    together = segment_bits(config(), network, frames)
    np.testing.assert_array_equal(
        together[:, 0], segment_bits(config(), network, frames[:, :1])[:, 0]
    )
    alone = segment_bits(config(), network, frames[:, 1:])
    assert together[1000:, 1].mean() < alone[1000:, 0].mean()


def test_causal():
    frames, network = stereo(1200), make_mlp(make_params())
    changed = frames.copy()
    changed[900, 0] += 100
    settings = config(rate=0.01)
    before, after = (segment_bits(settings, network, x) for x in (frames, changed))
    np.testing.assert_array_equal(before[:900, 0], after[:900, 0])
    np.testing.assert_array_equal(before[:892, 1], after[:892, 1])
    assert (before[900:, 0] != after[900:, 0]).any()


def test_adapting_costs_fewer_bits_and_leaves_the_model_alone():
    network = make_mlp(make_params())
    last = network.last.copy()
    still, weights, biases = (
        segment_bits(config(rate=rate, bias_rate=bias), network, stereo())[1000:].mean()
        for rate, bias in ((0.0, 0.0), (0.02, 0.0), (0.0, 0.005))
    )
    assert weights < still and biases < still
    np.testing.assert_array_equal(network.last, last)


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((3000, 1), np.int32),
        np.full((3000, 2), -32768, np.int32),
        np.where(np.arange(3000) // 50 % 2, 32767, -32768)[:, None],
        np.random.default_rng(0).integers(-32768, 32768, (3000, 3)),
        np.zeros((1, 1), np.int32),
    ],
)
def test_any_signal_has_a_finite_cost(frames):
    bits = segment_bits(config(rate=0.01), make_mlp(make_params()), frames)
    assert bits.shape == frames.shape
    assert (bits > 0).all() and np.isfinite(bits).all()


@pytest.mark.both_stacks
def test_the_same_bits_everywhere():
    """This number changes only with a new version of the codec's format."""
    assert digest() == GOLDEN


@pytest.mark.slow
def test_the_same_bits_from_a_compiler_that_optimizes_less(tmp_path):
    """On another processor: `tests.codec.test_golden`."""
    found = digest_elsewhere("tests.models.exact.test_stream", {"NUMBA_OPT": "1"}, tmp_path)
    assert found == GOLDEN
