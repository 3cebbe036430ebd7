"""The state of training: on the devices, of the loop, and as arrays in checkpoints.

D local devices.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from models.interface import Model
from runtime.compiler_options import least_options
from runtime.errors import TrainingError
from runtime.parallel import replicate, unreplicate
from training.checkpoints.checkpoint_file import Checkpoint
from training.config import TrainingConfig
from training.optimizer import make_optimizer


@flax.struct.dataclass
class TrainState:
    """What a step updates, replicated: each leaf is [D, ...]."""

    step: jax.Array  # int32 []
    params: Any
    opt_state: optax.OptState


@dataclasses.dataclass(kw_only=True)
class LoopState:
    """Progress of the training loop: what a checkpoint holds besides arrays, as JSON values.

    Attributes:
      step: steps done.
      skipped_batches: batches skipped by rollbacks, see `CheckpointConfig.on_nan`.
      wall_time_s: seconds that the run has taken.
      sums: of the metrics over the steps that are not logged yet, see `MetricAccumulator.sums`.
      train: the last logged training metrics.
      valid: metrics of the last validation.
      valid_step: the step of that validation, or -1.
      best_bits_per_sample: the lowest of all validations.
      initial_bits_per_sample: of the validation before the first step, if there was one.
      must_validate: whether a validation is due, because a signal has interrupted it.
    """

    step: int = 0
    skipped_batches: int = 0
    wall_time_s: float = 0.0
    sums: dict[str, float] = dataclasses.field(default_factory=dict)
    train: dict[str, float] = dataclasses.field(default_factory=dict)
    valid: dict[str, float] = dataclasses.field(default_factory=dict)
    valid_step: int = -1
    best_bits_per_sample: float | None = None
    initial_bits_per_sample: float | None = None
    must_validate: bool = False

    @property
    def bits_per_sample(self) -> float | None:
        """Of the validation after this step; None if there was none."""
        return self.valid["valid/bits_per_sample"] if self.valid_step == self.step else None

    def record_validation(self, metrics: dict[str, float]) -> bool:
        """Records the metrics of a validation after this step; returns whether it is the best."""
        self.valid, self.valid_step = metrics, self.step
        bits, best = metrics["valid/bits_per_sample"], self.best_bits_per_sample
        if self.step == 0:
            self.initial_bits_per_sample = bits
        if best is not None and bits >= best:
            return False
        self.best_bits_per_sample = bits
        return True


def make_init(model: Model, config: TrainingConfig) -> Any:
    """Returns a jitted function: PRNG key -> state before the first step, of one device."""

    def init(key: jax.Array) -> TrainState:
        return initial_state(model.init(key), config)

    return jax.jit(init, compiler_options=least_options())


def init_state(params: Any, config: TrainingConfig) -> TrainState:
    """Returns the state before the first step, on every local device."""
    return replicate(initial_state(params, config))


def initial_state(params: Any, config: TrainingConfig) -> TrainState:
    """Returns the state before the first step, of one device."""
    step = jnp.zeros((), jnp.int32)
    return TrainState(step=step, params=params, opt_state=make_optimizer(config).init(params))


def start_loop(start: Checkpoint | None, *, has_params: bool) -> LoopState:
    """Returns the progress at a checkpoint; None: before the first step.

    Args:
      start: the checkpoint.
      has_params: whether training starts from given parameters; they are validated first.
    """
    if start is not None:
        return LoopState(**start.metadata["loop"])
    return LoopState(must_validate=has_params)


def start_state(
    model: Model,
    config: TrainingConfig,
    init: Callable[[jax.Array], TrainState],
    start: Checkpoint | None,
    initial_params: Any = None,
) -> TrainState:
    """Returns the state after a checkpoint, on every local device; None: before the first step.

    Args:
      model: the model.
      config: of the optimizer.
      init: what `make_init` returns for them.
      start: the checkpoint.
      initial_params: the parameters before the first step; None: random ones.

    Raises:
      TrainingError: the checkpoint does not fit the model and the optimizer.
    """
    key = jax.random.key(config.seed)
    if start is not None:
        # Shapes only: the checkpoint replaces what `init` would compute.
        shapes = jax.eval_shape(make_init(model, config), key)
        return replicate(restore_state(start.arrays, shapes))
    if initial_params is not None:
        return init_state(initial_params, config)
    return replicate(init(key))


def state_arrays(state: TrainState) -> dict[str, np.ndarray]:
    """Returns copies of a state's arrays, without the device axis, by their paths.

    Paths of parameters are those of the model file, such as "params/network/blocks/qkv/kernel";
    there are "opt_state/..." and "step" besides.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    # Copies, because the next step overwrites the memory: its state is donated.
    return {_join(path): np.array(unreplicate(leaf)) for path, leaf in leaves}


def restore_state(arrays: Mapping[str, np.ndarray], shapes: TrainState) -> TrainState:
    """Inverse of `state_arrays`: returns the state, of one device.

    Args:
      arrays: the arrays by their paths.
      shapes: a state of the model and the optimizer, or its shapes and types.

    Raises:
      TrainingError: the arrays are not those of such a state.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(shapes)
    expected = {_join(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise TrainingError(
                f"the checkpoint does not fit the model: {name} is {found.get(name, 'missing')}, "
                f"expected {expected.get(name, 'nothing')}; --fresh starts from step 0"
            )
    return jax.tree.unflatten(tree, [arrays[name] for name in expected])


def _join(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
