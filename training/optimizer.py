"""The optimizer and its learning-rate schedule."""

import jax
import optax

from training.config import TrainingConfig

_FINAL_FRACTION = 0.01  # Of the peak learning rate, at the end of a schedule that decays.


def make_schedule(config: TrainingConfig) -> optax.Schedule:
    """Returns the learning rate as a function of the step: a linear rise, then the schedule."""
    # A run shorter than its warm-up still reaches the peak.
    warmup = min(config.warmup_steps, config.training_steps // 2)
    steps = config.training_steps - warmup
    final = _FINAL_FRACTION * config.learning_rate
    after = {
        "constant": lambda: optax.constant_schedule(config.learning_rate),
        "linear": lambda: optax.linear_schedule(config.learning_rate, final, steps),
        "cosine": lambda: optax.cosine_decay_schedule(config.learning_rate, steps, _FINAL_FRACTION),
    }[config.lr_schedule]()
    if not warmup:  # optax would log a message of it.
        return after
    rise = optax.linear_schedule(config.learning_rate / (warmup + 1), config.learning_rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def make_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Returns AdamW behind a bound on the gradient's norm."""
    return optax.chain(
        optax.clip_by_global_norm(config.grad_clip_norm),
        optax.adamw(
            make_schedule(config),
            weight_decay=config.weight_decay,
            mask=lambda params: jax.tree.map(lambda array: array.ndim > 1, params),
        ),
    )
