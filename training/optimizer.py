"""The optimizer and its learning-rate schedule."""

from typing import Any

import jax
import optax

from training.config import TrainingConfig

_MATRICES = ("kernel", "embedding")
_FINAL_FRACTION = 0.01  # Of the peak learning rate, at the end of a schedule that decays.


def make_schedule(config: TrainingConfig) -> optax.Schedule:
    """Returns the learning rate as a function of the step: linear warmup, then the schedule."""
    # Even a run shorter than its warmup reaches the peak.
    warmup = min(config.warmup_steps, config.training_steps // 2)
    steps = config.training_steps - warmup
    final = _FINAL_FRACTION * config.learning_rate
    after = {
        "constant": lambda: optax.constant_schedule(config.learning_rate),
        "linear": lambda: optax.linear_schedule(config.learning_rate, final, steps),
        "cosine": lambda: optax.cosine_decay_schedule(config.learning_rate, steps, _FINAL_FRACTION),
    }[config.lr_schedule]()
    if not warmup:  # optax logs a message for a schedule of zero steps.
        return after
    # Not from 0, with which the first step would change nothing.
    rise = optax.linear_schedule(config.learning_rate / (warmup + 1), config.learning_rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Returns AdamW after clipping by the global norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.grad_clip_norm),
        optax.adamw(
            make_schedule(config),
            weight_decay=config.weight_decay,
            # Not biases and scales of norms: 0 is no better a prior for them.
            mask=lambda params: jax.tree_util.tree_map_with_path(_is_matrix, params),
        ),
    )


def _is_matrix(path: tuple[Any, ...], _: jax.Array) -> bool:
    # By its name in Flax, since biases are 2-D where those of several layers are stacked.
    return jax.tree_util.keystr(path[-1:], simple=True) in _MATRICES
