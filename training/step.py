"""The steps of training and validation, on all devices of all hosts at once.

D local devices, B rows of this host's batch, L chunk size.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.interface import Model, Params
from models.microbatches import sum_microbatches
from runtime.parallel import all_reduce_max, all_reduce_sum, pmap, unreplicate
from training.config import TrainingConfig
from training.optimizer import make_optimizer, make_schedule
from training.state import TrainState, make_init

DeviceBatch = Mapping[str, Any]
"""`inputs`: those of the model; `first`, `stop`: int32 [D, B / D], the range of scored samples."""

Metrics = Mapping[str, jax.Array | float]
"""Sums over the global batch: means are formed once, over all batches that are logged together."""


def make_train_step(
    model: Model, config: TrainingConfig, *, devices: Sequence[jax.Device] | None = None
) -> Callable[[TrainState, DeviceBatch, np.ndarray], tuple[TrainState, Metrics, jax.Array]]:
    """Returns a step of gradient descent: (state, batch, flags) -> (state, metrics, flags).

    The state is donated. The loss is the mean of the nats per scored sample of the global batch,
    whatever the number of devices and hosts. Metrics: `nats` and `samples`, sums; `grad_norm`,
    before clipping; `learning_rate`. The returned flags are the maximum over all hosts, see
    `training.control.control_flags`.

    Args:
      model: gives the log-likelihood.
      config: of the optimizer.
      devices: see `runtime.parallel.pmap`.
    """
    optimizer, schedule = make_optimizer(config), make_schedule(config)

    def train_step(
        state: TrainState, batch: DeviceBatch, flags: jax.Array
    ) -> tuple[TrainState, Metrics, jax.Array]:
        # Devices may hold different numbers of scored samples, so a mean over devices would be
        # wrong: each divides by the global number, and the gradients are summed.
        samples = all_reduce_sum(_num_scored(batch))

        def loss(params: Params, part: DeviceBatch) -> tuple[jax.Array, jax.Array]:
            nats = _nats(model, params, part)
            # Where no file of the batch could be read, the gradient is 0, not NaN.
            return nats / jnp.maximum(samples, 1), nats

        gradient = functools.partial(jax.grad(loss, has_aux=True), state.params)
        size = model.microbatch_size(batch["inputs"])
        gradients, nats = all_reduce_sum(sum_microbatches(gradient, batch, size))
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

    return pmap(train_step, donate_argnums=0, devices=devices)


def make_eval_step(
    model: Model, *, devices: Sequence[jax.Device] | None = None
) -> Callable[[Params, DeviceBatch, np.ndarray], tuple[Metrics, jax.Array]]:
    """Returns a step of validation: (replicated params, batch, flags) -> (metrics, flags).

    Metrics: `nats` and `samples`, sums over the global batch. Flags and devices as in
    `make_train_step`.
    """

    def eval_step(
        params: Params, batch: DeviceBatch, flags: jax.Array
    ) -> tuple[Metrics, jax.Array]:
        size = model.microbatch_size(batch["inputs"])
        nats = sum_microbatches(functools.partial(_nats, model, params), batch, size)
        sums = {"nats": nats, "samples": _num_scored(batch)}
        return all_reduce_sum(sums), all_reduce_max(flags)

    return pmap(eval_step, devices=devices)


class Steps(NamedTuple):
    """What a run computes on its devices; `init` is that of `state.make_init`."""

    init: Any
    train: Callable[[TrainState, DeviceBatch, np.ndarray], tuple[TrainState, Metrics, jax.Array]]
    eval: Callable[[Params, DeviceBatch, np.ndarray], tuple[Metrics, jax.Array]]


def make_steps(
    model: Model, config: TrainingConfig, *, devices: Sequence[jax.Device] | None = None
) -> Steps:
    """Returns the steps of a run, each compiled at its first call; arguments as above."""
    train = make_train_step(model, config, devices=devices)
    return Steps(make_init(model, config), train, make_eval_step(model, devices=devices))


def fetch(metrics: Metrics) -> dict[str, float]:
    """Returns metrics as Python floats, from the copy of the first device; waits for the step."""
    return {
        name: value if isinstance(value, float) else float(unreplicate(value))
        for name, value in metrics.items()
    }


def _num_scored(batch: DeviceBatch) -> jax.Array:  # int32 []
    # `stop` is -1 for a row that could not be read.
    return jnp.maximum(batch["stop"] - batch["first"], 0).sum()


def _nats(model: Model, params: Params, batch: DeviceBatch) -> jax.Array:  # float32 []
    log_likelihood = model.log_likelihood(params, batch["inputs"])  # [B / D, L]
    position = jnp.arange(log_likelihood.shape[-1])
    scored = (batch["first"][:, None] <= position) & (position < batch["stop"][:, None])
    # Not a product: padding may be impossible, and 0 * inf is NaN. (In the chunks that pad a
    # microbatch nothing is scored: both ends of their range are 1.)
    return -jnp.where(scored, log_likelihood, 0).sum()
