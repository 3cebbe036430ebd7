"""One step: its loss, what padding weighs, and what it leaves.

B batch, L chunk size, V vocabulary.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.config import ModelConfig
from pipeline.reading.read_chunks import UNREADABLE
from tests.toy_model import Unigram
from training.config import TrainingConfig
from training.optimizer import make_schedule
from training.step import (
    fetch,
    fetch_control_flags,
    fetch_params,
    init_state,
    make_eval_step,
    make_train_step,
    put_control_flags,
    to_devices,
)

CONFIG = TrainingConfig(training_steps=10, warmup_steps=4, learning_rate=0.1)
LENGTHS = [6, 2, 0, UNREADABLE]


def _params(seed=0):
    return {"logits": jnp.asarray(np.random.default_rng(seed).normal(size=256), jnp.float32)}


def _batch(lengths=LENGTHS, seed=0):
    symbols = np.random.default_rng(seed).integers(0, 256, (1, len(lengths), 6))
    return {"symbols": symbols.astype(np.uint8), "lengths": np.array([lengths], np.int32)}


def _real(batch):
    return batch["symbols"][np.arange(6) < batch["lengths"][..., np.newaxis]]


def _log_probs(params):
    logits = np.asarray(params["logits"], np.float64)
    return logits - np.log(np.exp(logits).sum())


@pytest.fixture
def model():
    return Unigram(ModelConfig())


@pytest.mark.parametrize("lengths", [LENGTHS, [6, 6, 6, 6], [1, 0, 0, 0]])
def test_the_loss_is_that_of_real_samples(model, lengths):
    batch, params = _batch(lengths), _params()
    real = _real(batch)
    state = init_state(params, CONFIG)
    evaluated = fetch(make_eval_step(model)(state.params, batch, put_control_flags([0, 0]))[0])
    _, metrics, _ = make_train_step(model, CONFIG)(state, batch, put_control_flags([0, 0]))
    trained = fetch(metrics)
    for figures in (evaluated, trained):
        assert figures["samples"] == len(real)
        np.testing.assert_allclose(figures["nats"], -_log_probs(params)[real].sum(), rtol=1e-5)
    # The gradient of the *mean* loss, before it is clipped.
    gradient = np.exp(_log_probs(params)) - np.bincount(real, minlength=256) / len(real)
    np.testing.assert_allclose(trained["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)


def test_what_padding_holds_changes_nothing(model):
    batch, step = _batch(), make_train_step(model, CONFIG)
    padding = np.arange(6) >= batch["lengths"][..., np.newaxis]
    other = {**batch, "symbols": np.where(padding, 255 - batch["symbols"], batch["symbols"])}
    assert (other["symbols"] != batch["symbols"]).any()
    first, second = (
        fetch_params(step(init_state(_params(), CONFIG), each, put_control_flags([0, 0]))[0])
        for each in (batch, other)
    )
    np.testing.assert_array_equal(first["logits"], second["logits"])


def test_a_batch_without_samples_changes_nothing(model):
    state, metrics, _ = make_train_step(model, CONFIG)(
        init_state(_params(), CONFIG), _batch([UNREADABLE, 0]), put_control_flags([0, 0])
    )
    figures = fetch(metrics)
    assert (figures["nats"], figures["samples"], figures["grad_norm"]) == (0, 0, 0)
    np.testing.assert_array_equal(fetch_params(state)["logits"], _params()["logits"])


def test_steps_follow_the_schedule_and_lower_the_loss(model):
    step, state = make_train_step(model, CONFIG), init_state(_params(), CONFIG)
    losses, rates = [], []
    for _ in range(CONFIG.training_steps):
        state, metrics, _ = step(state, _batch(), put_control_flags([0, 0]))
        figures = fetch(metrics)
        losses.append(figures["nats"] / figures["samples"])
        rates.append(figures["learning_rate"])
    assert losses == sorted(losses, reverse=True)
    schedule = make_schedule(CONFIG)
    np.testing.assert_allclose(rates, [schedule(n) for n in range(10)], rtol=1e-6)


def test_wishes_come_back(model):
    state, wishes = init_state(_params(), CONFIG), put_control_flags([15, 1])
    assert fetch_control_flags(make_eval_step(model)(state.params, _batch(), wishes)[1]) == [15, 1]
    assert fetch_control_flags(make_train_step(model, CONFIG)(state, _batch(), wishes)[2]) == [
        15,
        1,
    ]


def test_a_step_compiles_once(model):
    """Also where the state comes from another step, and the batch from the prefetch."""
    step, state = make_train_step(model, CONFIG), init_state(_params(), CONFIG)
    for batch in to_devices([_batch(seed=seed) for seed in range(3)]):
        state, _, _ = step(state, batch, put_control_flags([0, 0]))
    assert model.traces == 1


def test_the_state_is_donated(model):
    state = init_state(_params(), CONFIG)
    make_train_step(model, CONFIG)(state, _batch(), put_control_flags([0, 0]))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_parameters_come_back_as_they_went_in():
    params = {"a": {"b": _params()["logits"]}, "c": jnp.ones((2, 3))}
    fetched = fetch_params(init_state(params, CONFIG))
    assert isinstance(fetched["a"]["b"], np.ndarray)
    jax.tree.map(np.testing.assert_array_equal, fetched, params)


def test_prefetch_keeps_the_order():
    batches = [_batch(seed=seed) for seed in range(5)]
    for batch, put in zip(batches, to_devices(batches), strict=True):
        jax.tree.map(np.testing.assert_array_equal, batch, jax.device_get(put))
