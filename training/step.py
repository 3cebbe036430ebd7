"""The steps of training and validation, on all devices of all hosts at once.

D local devices, B rows of this host's batch, L chunk size.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.interface import Model, Params
from runtime.parallel import all_reduce_max, all_reduce_sum, pmap, unreplicate
from training.config import TrainingConfig
from training.optimizer import make_optimizer, make_schedule
from training.state import TrainState

DeviceBatch = Mapping[str, Any]
"""`inputs`: what the model reads; `first`, `stop`: int32 [D, B / D], which samples are scored."""

Metrics = Mapping[str, jax.Array | float]
"""Sums over the global batch, so that several batches are divided once, at the end."""


def make_train_step(
    model: Model, config: TrainingConfig
) -> Callable[[TrainState, DeviceBatch, np.ndarray], tuple[TrainState, Metrics, jax.Array]]:
    """Returns a step of gradient descent: (state, batch, flags) -> (state, metrics, flags).

    The state is donated. The loss is the mean nats of all scored samples of the global batch, so it
    does not depend on how many devices of how many hosts share the batch. Metrics: `nats` and
    `samples` (their sums), `grad_norm` (before clipping) and `learning_rate`. The flags that come
    out are the highest of all hosts, see `training.control.control_flags`.
    """
    optimizer, schedule = make_optimizer(config), make_schedule(config)

    def train_step(
        state: TrainState, batch: DeviceBatch, flags: jax.Array
    ) -> tuple[TrainState, Metrics, jax.Array]:
        samples = all_reduce_sum(_num_scored(batch))

        def loss(params: Params) -> tuple[jax.Array, jax.Array]:
            nats = _nats(model, params, batch)
            return nats / jnp.maximum(samples, 1), nats

        gradients, nats = all_reduce_sum(jax.grad(loss, has_aux=True)(state.params))
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        metrics = {
            "nats": nats,
            "samples": samples,
            "grad_norm": optax.tree.norm(gradients),
            "learning_rate": jnp.asarray(schedule(state.step)),
        }
        params = optax.apply_updates(state.params, updates)
        state = TrainState(step=state.step + 1, params=params, opt_state=opt_state)
        return state, metrics, all_reduce_max(flags)

    return pmap(train_step, donate_argnums=0)


def make_eval_step(
    model: Model,
) -> Callable[[Params, DeviceBatch, np.ndarray], tuple[Metrics, jax.Array]]:
    """Returns (replicated params, batch, flags) -> (metrics, flags), as of a train step.

    Metrics: `nats` and `samples`, their sums over the global batch.
    """

    def eval_step(
        params: Params, batch: DeviceBatch, flags: jax.Array
    ) -> tuple[Metrics, jax.Array]:
        sums = {"nats": _nats(model, params, batch), "samples": _num_scored(batch)}
        return all_reduce_sum(sums), all_reduce_max(flags)

    return pmap(eval_step)


def fetch(metrics: Metrics) -> dict[str, float]:
    """Returns metrics as plain numbers: one device's copy, they are all the same."""
    return {
        name: value if isinstance(value, float) else float(unreplicate(value))
        for name, value in metrics.items()
    }


def max_steps_in_flight() -> int:
    """Returns how many steps may be under way at once."""
    # Queued steps can deadlock in the all-reduce of forced CPU devices. On others a few in flight
    # hide the latency of starting them.
    return 1 if jax.default_backend() == "cpu" else 4


def _num_scored(batch: DeviceBatch) -> jax.Array:  # int32 []
    # A row that could not be read has a negative `stop`.
    return jnp.maximum(batch["stop"] - batch["first"], 0).sum()


def _nats(model: Model, params: Params, batch: DeviceBatch) -> jax.Array:  # float32 []
    log_likelihood = model.log_likelihood(params, batch["inputs"])  # [B / D, L]
    position = jnp.arange(log_likelihood.shape[-1])
    scored = (batch["first"][:, None] <= position) & (position < batch["stop"][:, None])
    return -jnp.where(scored, log_likelihood, 0).sum()
