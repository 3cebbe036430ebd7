"""The learning rate over a run, and what one update does."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from training.config import SCHEDULES, TrainingConfig
from training.optimizer import make_optimizer, make_schedule


def _rates(**fields):
    config = TrainingConfig(learning_rate=1.0, **fields)
    schedule = make_schedule(config)
    return np.array([float(schedule(step)) for step in range(config.training_steps)])


@pytest.mark.parametrize("lr_schedule", SCHEDULES)
def test_warm_up_rises_in_even_steps_to_the_full_rate(lr_schedule):
    rates = _rates(training_steps=100, warmup_steps=9, lr_schedule=lr_schedule)
    np.testing.assert_allclose(rates[:10], np.arange(1, 11) / 10, rtol=1e-6)
    assert rates.argmax() == 9


@pytest.mark.parametrize("lr_schedule", SCHEDULES)
@pytest.mark.parametrize("warmup_steps", [0, 10])
def test_after_the_warm_up(lr_schedule, warmup_steps):
    rates = _rates(training_steps=110, warmup_steps=warmup_steps, lr_schedule=lr_schedule)
    steps = 110 - warmup_steps
    done = np.arange(steps) / steps
    expected = {
        "constant": np.ones(steps),
        "linear": 1 - 0.99 * done,
        "cosine": 0.01 + 0.99 * (1 + np.cos(np.pi * done)) / 2,
    }[lr_schedule]
    np.testing.assert_allclose(rates[warmup_steps:], expected, rtol=1e-5)


@pytest.mark.parametrize("lr_schedule", SCHEDULES)
@pytest.mark.parametrize("training_steps", [1, 2, 5, 50])
def test_a_run_shorter_than_its_warm_up_reaches_the_full_rate(lr_schedule, training_steps):
    rates = _rates(training_steps=training_steps, warmup_steps=50, lr_schedule=lr_schedule)
    assert rates.max() == 1
    assert rates.argmax() == training_steps // 2
    assert rates.min() > 0


@pytest.mark.parametrize("scale", [0.1, 1e9])
def test_the_gradient_is_clipped_to_its_norm(scale):
    optimizer = make_optimizer(TrainingConfig(grad_clip_norm=0.5))
    params = {"a": jnp.zeros(3), "b": jnp.zeros((2, 2))}
    gradients = {"a": jnp.full(3, scale), "b": jnp.full((2, 2), -scale)}
    _, state = optimizer.update(gradients, optimizer.init(params), params)
    mean = optax.tree.get(state, "mu")  # A tenth of the first gradient.
    norm = min(0.5, scale * np.sqrt(7))
    np.testing.assert_allclose(optax.tree.norm(mean), norm / 10, rtol=1e-5)


def test_only_matrices_decay():
    optimizer = make_optimizer(
        TrainingConfig(weight_decay=0.5, learning_rate=0.1, warmup_steps=0, lr_schedule="constant")
    )
    layers = {"kernel": jnp.ones((3, 2, 2)), "bias": jnp.ones((3, 2)), "scale": jnp.ones((3, 2))}
    params = {"embedding": jnp.ones((2, 2)), "bias": jnp.ones(2), "layers": layers}
    gradients = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for matrices in (updates["embedding"], updates["layers"]["kernel"]):
        np.testing.assert_allclose(matrices, -0.05, rtol=1e-6)
    for others in (updates["bias"], updates["layers"]["bias"], updates["layers"]["scale"]):
        np.testing.assert_array_equal(others, 0)


def test_no_warm_up_is_no_news(caplog):
    caplog.set_level("INFO")
    _rates(training_steps=3, warmup_steps=0)
    assert not caplog.records
