"""The transformer on adaptive predictors: causal in the order of channels."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from models.build import build_model
from models.config import AdaptiveModelConfig, TransformerConfig, config_from_json
from models.interface import SegmentModel
from tests.models.predictors.signals import noise, tones
from tests.models.predictors.test_bank import SMALL
from tests.models.test_adaptive import make_batch

L = 600
CONFIG = AdaptiveModelConfig(
    predictors=SMALL, network=TransformerConfig(embedding_dim=16, num_layers=2, num_heads=2)
)


@pytest.fixture(scope="module")
def model():
    return build_model(CONFIG)


@pytest.fixture(scope="module")
def params(model):
    params = model.init(jax.random.key(0))
    # Other weights than the initial ones, which hardly depend on the features.
    return jax.tree.map(lambda x: x + 0.05 * jax.random.normal(jax.random.key(1), x.shape), params)


@pytest.fixture(scope="module")
def nats(model, params):
    log_likelihood = jax.jit(model.log_likelihood)
    return lambda batch: -np.asarray(log_likelihood(params, model.prepare(batch)))


def test_a_sample_changes_only_what_comes_after(nats):
    row = tones(L)
    changed = row.copy()
    changed[300] += 50
    before, after = (nats(make_batch(r))[0] for r in (row, changed))
    assert np.array_equal(before[:300], after[:300])
    # What is far behind is reached by attention, too.
    assert (before[300:] != after[300:]).mean() > 0.9


@pytest.mark.parametrize("block", [L // 2, L // 4, 100])
def test_channels_come_one_after_the_other_however_they_are_blocked(nats, block):
    left, right = tones(L // 2), tones(L // 2, 2) + noise(L // 2, 3, 20)

    def cost(*channels):
        """Nats of each channel's samples, in order of time."""
        frames = np.stack(channels)
        blocks = [frames[:, i : i + block] for i in range(0, L // 2, block)]
        batch = make_batch(np.concatenate([x.ravel() for x in blocks]), channels=2, block=block)
        batch["frames"][:] = L // 2
        found = nats(batch)[0]
        parts = np.split(found, np.cumsum([x.size for x in blocks])[:-1])
        return np.concatenate([x.reshape(2, -1) for x in parts], 1)

    at = 140
    before = cost(left, right)
    louder = left.copy()
    louder[at] += 50
    after = cost(louder, right)
    assert np.array_equal(before[0, :at], after[0, :at])
    assert before[0, at] != after[0, at]
    assert not np.array_equal(before[1, :at], after[1, :at])  # All of the left one is known.
    changed = right.copy()
    changed[at] += 50
    after = cost(left, changed)
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1, :at], after[1, :at])
    assert before[1, at] != after[1, at]


def test_a_row_does_not_depend_on_the_others_nor_on_padding(nats):
    rows = [tones(L, seed) for seed in (1, 2, 3)]
    together = make_batch(*rows)
    together["stop"][:] = L, 200, -1
    found = nats(together)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], nats(make_batch(rows[0]))[0], rtol=1e-5)
    alone = make_batch(rows[1])
    alone["stop"][:] = 200
    np.testing.assert_allclose(found[1, :200], nats(alone)[0, :200], rtol=1e-5)


def test_the_config_comes_back_from_json_and_has_no_segments(model):
    values = json.loads(json.dumps(dataclasses.asdict(model.config)))
    assert config_from_json(values) == model.config
    assert not isinstance(model, SegmentModel)
