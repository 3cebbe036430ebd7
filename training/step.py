"""The pmapped steps. The one module that knows of pmap.

D devices and B rows of this host, L chunk size. State is the same on every device; batches are
split. On several hosts each calls a step with its own rows, and sums are over all of them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.networks.transformer import Transformer
from training.config import TrainingConfig
from training.optimizer import make_optimizer, make_schedule

_AXIS = "devices"

Batch = dict[str, Any]
"""`symbols` [D, B / D, L] and `lengths` [D, B / D], as `pipeline.make_dataset` makes them."""

Metrics = Mapping[str, jax.Array | float]
"""Sums over the batch, so that figures of many batches are divided once, at the end."""


@flax.struct.dataclass
class TrainState:
    """What a step changes."""

    step: jax.Array  # int32 []
    params: Any
    opt_state: optax.OptState


def init_state(params: Any, config: TrainingConfig) -> TrainState:
    """Returns the state before the first step, on every local device: each leaf [D, ...]."""
    return _spread(_first_state(params, config))


def state_arrays(state: TrainState) -> dict[str, np.ndarray]:
    """Returns copies of a state's leaves by name, without the device axis."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return {_name(path): np.array(_first(leaf)) for path, leaf in leaves}


def restore_state(
    arrays: Mapping[str, np.ndarray], params: Any, config: TrainingConfig
) -> TrainState:
    """Returns the state that `state_arrays` took apart, on every local device.

    Args:
      arrays: the leaves by name.
      params: parameters of the model, or their shapes and types.
      config: gives the optimizer.

    Raises:
      ValueError: the arrays are those of another model or optimizer.
    """
    shapes = jax.eval_shape(lambda params: _first_state(params, config), params)
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    expected = {_name(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"the checkpoint does not fit the model: {name} is {found.get(name, 'missing')}, "
                f"expected {expected.get(name, 'nothing')}"
            )
    return _spread(jax.tree.unflatten(tree, [arrays[name] for name in expected]))


def _first_state(params: Any, config: TrainingConfig) -> TrainState:
    step = jnp.zeros((), jnp.int32)
    return TrainState(step=step, params=params, opt_state=make_optimizer(config).init(params))


def _spread(tree: Any) -> Any:
    """Returns a tree on every local device: each leaf [D, ...]."""
    # By pmap itself: with the sharding of flax's replicate the second step would compile once more.
    devices = np.zeros(jax.local_device_count())
    return jax.pmap(lambda tree, _: tree, axis_name=_AXIS, in_axes=(None, 0))(tree, devices)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path).lstrip(".").replace("/", "|")


def make_train_step(
    model: Transformer, config: TrainingConfig
) -> Callable[[TrainState, Batch, np.ndarray], tuple[TrainState, Metrics, jax.Array]]:
    """Returns a step of gradient descent: (state, batch, wishes) -> (state, metrics, agreed).

    The state is donated. The loss is the mean over all samples of the global batch, padding left
    out, so it does not depend on how many devices of how many hosts share the batch. Metrics:
    `nats` and `samples` (their sums), `grad_norm` (before clipping) and `learning_rate`. ControlFlags:
    see `put_control_flags`; of each the highest of all hosts is what they have agreed upon.
    """
    optimizer, schedule = make_optimizer(config), make_schedule(config)

    def train_step(
        state: TrainState, batch: Batch, wishes: jax.Array
    ) -> tuple[TrainState, Metrics, jax.Array]:
        mask = _mask(batch)
        samples = jax.lax.psum(mask.sum(), _AXIS)

        def loss(params: Any) -> tuple[jax.Array, jax.Array]:
            nats = _nats(model, params, batch, mask)
            return nats / jnp.maximum(samples, 1), nats

        gradients, nats = jax.grad(loss, has_aux=True)(state.params)
        gradients, nats = jax.lax.psum((gradients, nats), _AXIS)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        metrics = {
            "nats": nats,
            "samples": samples,
            "grad_norm": optax.tree.norm(gradients),
            "learning_rate": jnp.asarray(schedule(state.step)),
        }
        params = optax.apply_updates(state.params, updates)
        state = TrainState(step=state.step + 1, params=params, opt_state=opt_state)
        return state, metrics, jax.lax.pmax(wishes, _AXIS)

    return jax.pmap(train_step, axis_name=_AXIS, donate_argnums=0)


def make_eval_step(
    model: Transformer,
) -> Callable[[Any, Batch, np.ndarray], tuple[Metrics, jax.Array]]:
    """Returns (replicated params, batch, wishes) -> (metrics, agreed), as of a train step.

    Metrics: `nats` and `samples`, their sums over the batch.
    """

    def eval_step(params: Any, batch: Batch, wishes: jax.Array) -> tuple[Metrics, jax.Array]:
        mask = _mask(batch)
        sums = {"nats": _nats(model, params, batch, mask), "samples": mask.sum()}
        return jax.lax.psum(sums, _AXIS), jax.lax.pmax(wishes, _AXIS)

    return jax.pmap(eval_step, axis_name=_AXIS)


def to_devices(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Puts each batch on the devices while the step before it runs."""
    return flax.jax_utils.prefetch_to_device(iter(batches), 2)


def put_control_flags(wishes: Sequence[int]) -> np.ndarray:
    """Returns small numbers for every local device: int32 [D, n]."""
    # Not on the devices yet: no host may start a computation that others do not.
    return np.tile(np.array(wishes, np.int32), (jax.local_device_count(), 1))


def fetch_control_flags(agreed: jax.Array) -> list[int]:
    """Returns the numbers that all hosts have agreed upon."""
    return _first(agreed).tolist()


def fetch(metrics: Metrics) -> dict[str, float]:
    """Returns metrics as plain numbers: one device's copy, they are all the same."""
    return {
        name: value if isinstance(value, float) else float(_first(value))
        for name, value in metrics.items()
    }


def fetch_params(state: TrainState) -> Any:
    """Returns the parameters as NumPy arrays, without the device axis."""
    return jax.tree.map(_first, state.params)


def _first(array: jax.Array) -> np.ndarray:
    """Returns the first local device's part."""
    # Indexing a sharded array starts a computation, and takes ten times as long.
    return np.asarray(array.addressable_shards[0].data)[0]


def _mask(batch: Batch) -> jax.Array:  # bool [B, L]
    positions = jnp.arange(batch["symbols"].shape[-1])
    return positions < batch["lengths"][:, None]


def _nats(model: Transformer, params: Any, batch: Batch, mask: jax.Array) -> jax.Array:
    log_likelihood: Any = model.apply({"params": params}, batch["symbols"], method="log_likelihood")
    return -jnp.where(mask, log_likelihood, 0).sum()
