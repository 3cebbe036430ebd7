"""One step: its loss, what is scored, and what it leaves.

B batch, L chunk size.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.reading.read_chunks import UNREADABLE, is_scored
from runtime.parallel import unreplicate
from tests.toy_model import Unigram
from training.config import TrainingConfig
from training.control.control_flags import ControlFlags
from training.device_batches import device_batch, device_batches
from training.optimizer import make_schedule
from training.state import init_state
from training.step import fetch, make_eval_step, make_train_step

CONFIG = TrainingConfig(training_steps=10, warmup_steps=4, learning_rate=0.1)
FIRST, STOP = [0, 1, 0, 0], [6, 3, 0, UNREADABLE]
FLAGS = ControlFlags().to_devices()


def _params(seed=0):
    return {"logits": jnp.asarray(np.random.default_rng(seed).normal(size=256), jnp.float32)}


def _batch(first=FIRST, stop=STOP, seed=0):
    samples = np.random.default_rng(seed).integers(-128, 128, (1, len(stop), 6))
    return {
        "samples": samples.astype(np.int8),
        "first": np.array([first], np.int32),
        "stop": np.array([stop], np.int32),
    }


def _log_probs(params):
    logits = np.asarray(params["logits"], np.float64)
    return logits - np.log(np.exp(logits).sum())


@pytest.fixture
def model():
    return Unigram()


@pytest.mark.parametrize("microbatch_size", [None, 1, 3])
@pytest.mark.parametrize(
    ("first", "stop", "count"),
    [
        (FIRST, STOP, 8),
        ([0, 0, 0, 0], [6, 6, 6, 6], 24),
        ([0, 0, 0, 0], [1, 0, 0, 0], 1),
        ([5, 2, 6, 3], [6, 6, 6, 3], 5),
    ],
)
def test_the_loss_is_that_of_scored_samples(first, stop, count, microbatch_size):
    model = Unigram(microbatch_size=microbatch_size)
    batch, params = _batch(first, stop), _params()
    rows = zip(batch["samples"][0], first, stop, strict=True)
    symbols = 128 + np.concatenate([row[f : max(f, s)] for row, f, s in rows]).astype(int)
    assert len(symbols) == count
    state, on_device = init_state(params, CONFIG), device_batch(model, batch)
    evaluated = fetch(make_eval_step(model)(state.params, on_device, FLAGS)[0])
    trained = fetch(make_train_step(model, CONFIG)(state, on_device, FLAGS)[1])
    for metrics in (evaluated, trained):
        assert metrics["samples"] == count
        np.testing.assert_allclose(metrics["nats"], -_log_probs(params)[symbols].sum(), rtol=1e-5)
    # The gradient of the *mean* loss, before it is clipped.
    gradient = np.exp(_log_probs(params)) - np.bincount(symbols, minlength=256) / count
    np.testing.assert_allclose(trained["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)


def test_what_is_not_scored_changes_nothing(model):
    batch, step = _batch(), make_train_step(model, CONFIG)
    other = {**batch, "samples": np.where(is_scored(batch), batch["samples"], ~batch["samples"])}
    assert (other["samples"] != batch["samples"]).any()
    first, second = (
        unreplicate(step(init_state(_params(), CONFIG), device_batch(model, each), FLAGS)[0].params)
        for each in (batch, other)
    )
    np.testing.assert_array_equal(first["logits"], second["logits"])


def test_a_batch_without_samples_changes_nothing(model):
    state, metrics, _ = make_train_step(model, CONFIG)(
        init_state(_params(), CONFIG), device_batch(model, _batch([0, 0], [UNREADABLE, 0])), FLAGS
    )
    figures = fetch(metrics)
    assert (figures["nats"], figures["samples"], figures["grad_norm"]) == (0, 0, 0)
    np.testing.assert_array_equal(unreplicate(state.params)["logits"], _params()["logits"])


def test_steps_follow_the_schedule_and_lower_the_loss(model):
    step, state = make_train_step(model, CONFIG), init_state(_params(), CONFIG)
    losses, learning_rates = [], []
    for _ in range(CONFIG.training_steps):
        state, metrics, _ = step(state, device_batch(model, _batch()), FLAGS)
        figures = fetch(metrics)
        losses.append(figures["nats"] / figures["samples"])
        learning_rates.append(figures["learning_rate"])
    assert losses == sorted(losses, reverse=True)
    schedule = make_schedule(CONFIG)
    np.testing.assert_allclose(learning_rates, [schedule(n) for n in range(10)], rtol=1e-6)


def test_control_flags_come_back(model):
    state, batch = init_state(_params(), CONFIG), device_batch(model, _batch())
    flags = ControlFlags(stop=15, save=1).to_devices()
    evaluated = make_eval_step(model)(state.params, batch, flags)[1]
    assert unreplicate(evaluated).tolist() == [15, 1]
    trained = make_train_step(model, CONFIG)(state, batch, flags)[2]
    assert unreplicate(trained).tolist() == [15, 1]


def test_a_step_compiles_once(model):
    """Also where the state comes from another step, and the batch from the prefetch."""
    step, state = make_train_step(model, CONFIG), init_state(_params(), CONFIG)
    for batch in device_batches(model, lambda: [_batch(seed=seed) for seed in range(3)]):
        state, _, _ = step(state, batch, FLAGS)
    assert model.traces == 1


def test_the_state_is_donated(model):
    state = init_state(_params(), CONFIG)
    make_train_step(model, CONFIG)(state, device_batch(model, _batch()), FLAGS)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
