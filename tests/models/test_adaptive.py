"""The adaptive model: a distribution, causal, and a pure function of its batch."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.build import build_model
from models.config import (
    AdaptiveModelConfig,
    MlpConfig,
    ResidualMixtureConfig,
    config_from_json,
)
from models.distributions.mixture import Mixture
from models.distributions.residual_mixture import Residual, residual_log_prob
from tests.models.predictors.signals import tones
from tests.models.predictors.test_bank import SMALL

L = 600


def make_model(depth=16):
    config = AdaptiveModelConfig(
        depth=depth,
        predictors=SMALL,
        network=MlpConfig(width=16),
        distribution=ResidualMixtureConfig(num_components=3),
    )
    return build_model(config)


def make_batch(*rows, channels=1, block=L):
    size = len(rows)
    return {
        "samples": np.stack(rows),
        "first": np.zeros(size, np.int32),
        "stop": np.full(size, L, np.int32),
        "channels": np.full(size, channels, np.int32),
        "channel": np.zeros(size, np.int32),
        "position": np.zeros(size, np.int64),
        "frames": np.full(size, L, np.int64),
        "block": np.full(size, block, np.int32),
    }


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def params(model):
    params = model.init(jax.random.key(0))
    # Other weights than the initial ones, which hardly depend on the features.
    return jax.tree.map(lambda x: x + 0.05 * jax.random.normal(jax.random.key(1), x.shape), params)


def nats(model, params, batch):
    return -np.asarray(jax.jit(model.log_likelihood)(params, model.prepare(batch)))


def test_probabilities_sum_to_one():
    rng = np.random.default_rng(0)
    mixture = Mixture(
        jax.nn.log_softmax(jnp.asarray(rng.normal(size=(20, 3)))),
        jnp.asarray(rng.normal(size=(20, 3)) * 40),
        jnp.asarray(rng.uniform(-4, 5, (20, 3))),
    )
    base, values = rng.uniform(-128, 127, 20), np.arange(-128, 128)
    bound = (values == 127).astype(np.int8) - (values == -128)
    total = sum(
        jnp.exp(residual_log_prob(mixture, Residual(value - base, jnp.ones(20), np.full(20, b))))
        for value, b in zip(values, bound, strict=True)
    )
    np.testing.assert_allclose(total, 1, rtol=1e-4)


@pytest.mark.parametrize("depth", [8, 16, 24])
def test_no_sample_costs_more_than_a_few_bytes(depth):
    """Not a click of full scale after silence."""
    click = np.zeros(L, np.int32)
    click[300], click[301] = 2 ** (depth - 1) - 1, -(2 ** (depth - 1))
    model = make_model(depth)
    cost = nats(model, model.init(jax.random.key(0)), make_batch(click))[0] / np.log(2)
    assert cost[:300].mean() < 1 < cost.max() < 41


def test_24_bits_are_told_apart_by_all_of_them():
    """A quiet passage is foreseen as well where a loud one has no fractions in float32."""
    model = make_model(24)
    phase = np.arange(L) * 0.05
    residual = [
        np.abs(model.prepare(make_batch(x.astype(np.int32)))["residual"][0, 300:]).mean()
        for x in (np.round(2**amplitude * np.sin(phase)) for amplitude in (15, 22))
    ]
    assert residual[1] < 2 * residual[0] + 1
    loud = np.full(L, 2**23 - 1, np.int32)
    inputs = model.prepare(make_batch(loud))
    assert inputs["bound"].all() and np.abs(inputs["residual"][0, 300:]).mean() < 1


def test_samples_that_were_scaled_up_are_read_on_their_own_scale():
    """8 bits in a model of 24: as in a model of 8, but for a byte that tells so."""
    rows = [np.clip(tones(L, seed) >> 8, -128, 127) for seed in (1, 2)]
    rows[0][100:105] = 127  # Clipped.
    native = make_model(8).prepare(make_batch(*rows))
    scaled = make_model(24).prepare(make_batch(*(row << 16 for row in rows)))
    assert native["bound"].any() and not native["side"].any()
    assert scaled.pop("side").sum(-1).tolist() == [8, 8]
    for name, array in scaled.items():
        assert np.array_equal(array, native[name]), name


def test_neither_padding_nor_other_rows_spoil_the_scale():
    row = tones(L)
    scaled = make_batch(row << 8, tones(L, 2))
    scaled["stop"][0] = scaled["frames"][0] = 400
    scaled["samples"][0, 400:] = 1
    plain = make_batch(row)
    plain["stop"][:] = plain["frames"][:] = 400
    model = make_model(24)
    one, other = model.prepare(scaled), model.prepare(plain)
    assert np.array_equal(one["features"][0], other["features"][0])


def test_channels_have_one_scale():
    """The filters of the second read the first, in the same unit."""
    left, right = tones(L // 2), tones(L // 2, 2) >> 8 << 8
    model = make_model(24)
    batch = make_batch(np.concatenate([left, right]), channels=2, block=L // 2)
    batch["frames"][:] = L // 2
    inputs = model.prepare(batch)
    assert not inputs["side"].any()
    alone = make_batch(np.concatenate([left, 0 * left]))
    alone["stop"][:] = alone["frames"][:] = L // 2
    assert np.array_equal(
        inputs["features"][0, : L // 2], model.prepare(alone)["features"][0, : L // 2]
    )


def test_the_byte_that_tells_the_scale_is_paid_once(params):
    row, model = tones(L), make_model(24)
    plain, scaled = (nats(model, params, make_batch(x))[0] for x in (row, row << 8))
    np.testing.assert_allclose(scaled[0] - plain[0], 8 * np.log(2), rtol=1e-5)
    assert np.array_equal(scaled[1:], plain[1:])


def test_a_sample_changes_only_what_comes_after(model, params):
    row = tones(L)
    changed = row.copy()
    changed[300] += 50
    before, after = (nats(model, params, make_batch(r))[0] for r in (row, changed))
    assert np.array_equal(before[:300], after[:300])
    assert before[300] != after[300] and not np.array_equal(before[301:], after[301:])


def test_a_row_does_not_depend_on_the_others(model):
    rows = [tones(L, seed) for seed in (1, 2, 3)]
    alone = model.prepare(make_batch(rows[1]))
    together = model.prepare(make_batch(*rows))
    for name, array in alone.items():
        assert np.array_equal(array[0], together[name][1]), name


def test_padding_and_devices(model):
    batch = make_batch(tones(L), tones(L, 2))
    batch["stop"][:] = 200, -1
    batch["frames"][:] = 200
    cut = model.prepare(batch)
    assert not cut["features"][0, 200:].any() and not cut["features"][1].any()
    split = {name: array[:, np.newaxis] for name, array in batch.items()}
    for name, array in model.prepare(split).items():
        assert array.shape[:2] == (2, 1) and np.array_equal(array[:, 0], cut[name])


def test_stereo_is_read_as_channels(model):
    left = tones(L // 2)
    right = left + 3
    stereo = make_batch(np.concatenate([left, right]), channels=2, block=L // 2)
    stereo["frames"][:] = L // 2
    inputs = model.prepare(stereo)
    mono = make_batch(np.concatenate([left, np.zeros_like(left)]))
    mono["stop"][:] = L // 2
    assert np.array_equal(
        inputs["features"][0, : L // 2], model.prepare(mono)["features"][0, : L // 2]
    )
    # The right channel is known from the left one.
    errors = np.abs(inputs["residual"][0])
    assert errors[L // 2 + 100 :].mean() < 0.2 * errors[100 : L // 2].mean()


def test_training_lowers_the_cost(model):
    import optax

    inputs = model.prepare(make_batch(*(tones(L, seed) for seed in range(1, 5))))
    params = model.init(jax.random.key(0))
    optimizer = optax.adam(1e-2)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state):
        cost, gradients = jax.value_and_grad(
            lambda params: -model.log_likelihood(params, inputs).mean()
        )(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, cost

    costs = []
    for _ in range(40):
        params, state, cost = step(params, state)
        costs.append(float(cost))
    assert np.isfinite(costs).all() and costs[-1] < costs[0] - 0.3


def test_the_config_comes_back_from_json(model):
    values = json.loads(json.dumps(dataclasses.asdict(model.config)))
    assert config_from_json(values) == model.config
