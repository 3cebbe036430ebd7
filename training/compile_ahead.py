"""Steps that are compiled in the background, while the corpus is opened and the run set up.

D local devices.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import jax
import numpy as np

from models.config import TransformerConfig
from models.interface import Model
from runtime.background import run_in_background
from runtime.compiler_options import Options, light_options
from training.config import RunConfig
from training.control.control_flags import ControlFlags
from training.device_batches import device_batch
from training.feature_pool import drawn_shapes
from training.state import TrainState
from training.step import DeviceBatch, Steps, make_steps


class StepShapes(NamedTuple):
    """Shapes and types of what the steps are given, [D, ...] each."""

    state: TrainState
    train_batch: DeviceBatch
    eval_batch: DeviceBatch
    flags: jax.ShapeDtypeStruct


def compile_ahead(model: Model, config: RunConfig) -> Steps:
    """Starts to compile the steps of a run, which takes seconds, of a large model minutes.

    That of validation comes after the first training step, which would wait for both. On several
    hosts steps are compiled when they are called: what `pmap` lowers takes other arrays there.

    Returns:
      The steps. A call waits for the compiler, and raises what it has raised; what tracing raises
      comes from here, of validation from its step.
    """
    steps: Any = make_steps(model, config.training)  # Of `pmap`, so that they can be lowered.
    if jax.process_count() > 1:
        return steps
    # Traced here, since a thread would share Python's lock with the imports that follow; what is
    # short to trace comes first, so that the compiler is at work meanwhile.
    init_step = _Step(steps.init.lower(jax.random.key(0)).compile)
    init_step.compile()
    shapes = step_shapes(model, config, steps.init, jax.local_device_count())
    train = steps.train.lower(shapes.state, shapes.train_batch, shapes.flags)
    options = _options(model)
    train_step = _Step(lambda: train.compile(options))
    train_step.compile()

    def compile_eval() -> Any:
        lowered = steps.eval.lower(shapes.state.params, shapes.eval_batch, shapes.flags)
        return lowered.compile(options)

    eval_step = _Step(compile_eval)

    def train_and_compile(*arguments: Any) -> Any:
        result = train_step(*arguments)
        eval_step.compile()
        return result

    return Steps(init_step, train_and_compile, eval_step)


def _options(model: Model) -> Options | None:
    # Perceptrons compile in a second, and those that ship were trained without: so their flag file
    # makes them again, to the last bit.
    network = getattr(model.config, "network", None)
    return light_options() if isinstance(network, TransformerConfig) else None


def step_shapes(model: Model, config: RunConfig, init: Any, num_devices: int) -> StepShapes:
    """Returns what the steps of a run are given, without an array of it.

    Args:
      model: the model.
      config: the run.
      init: see `state.make_init`.
      num_devices: D, of all hosts.
    """
    pipeline = config.pipeline
    rows = pipeline.batch_size // num_devices
    bounds = np.zeros((1, rows), np.int32)
    samples = np.zeros((1, rows, pipeline.chunk_size), f"int{8 * pipeline.sample_bytes}")
    # No sample is scored, so that predictors on the host have nothing to do.
    names = ("first", "stop", "channel", "position", "frames")
    counts = dict.fromkeys(("channels", "block"), np.ones_like(bounds))
    batch = device_batch(model, {"samples": samples, **dict.fromkeys(names, bounds), **counts})
    drawn = batch
    if config.pool:
        drawn = drawn_shapes(batch, config.pool.samples_per_step // pipeline.batch_size)

    def on_devices(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((num_devices, *array.shape[1:]), array.dtype)

    def replicated(array: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((num_devices, *array.shape), array.dtype)

    state = jax.tree.map(replicated, jax.eval_shape(init, jax.random.key(0)))
    batches = drawn, batch, ControlFlags().to_devices()
    return StepShapes(state, *(jax.tree.map(on_devices, arrays) for arrays in batches))


class _Step:
    """A step that is compiled in the background."""

    def __init__(self, compile_step: Callable[[], Any]) -> None:
        self._compile_step = compile_step
        self._compiled: Future[Any] | None = None
        self._lock = threading.Lock()

    def compile(self) -> "Future[Any]":
        """Starts to compile, once, whichever thread asks first."""
        with self._lock:
            if self._compiled is None:
                self._compiled = run_in_background(self._compile_step, "compile")
            return self._compiled

    def __call__(self, *arguments: Any) -> Any:
        return self.compile().result()(*arguments)
