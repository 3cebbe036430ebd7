"""What a run is, but for its model: its data, its training, and where it writes."""

import dataclasses
import os
from typing import Any

from pipeline.config import PipelineConfig
from runtime.distributed import DistributedConfig
from runtime.errors import ConfigError

ON_NAN = ("stop", "rollback")
ON_SAVE_ERROR = ("continue", "stop")
SCHEDULES = ("cosine", "linear", "constant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimizer, its schedule, and how often a run logs and validates.

    Attributes:
      training_steps: batches to train on.
      learning_rate: peak learning rate, of Adam.
      lr_schedule: how the learning rate decays from its peak to 1% of it, or stays; see SCHEDULES.
      warmup_steps: steps over which the learning rate rises from 0 to its peak.
      weight_decay: decoupled (AdamW), on matrices alone.
      grad_clip_norm: gradients of a larger norm are scaled down to this one.
      log_every: steps between two records of metrics.
      eval_every: steps between two validations; there is one at the end in any case.
      eval_steps: batches of a validation at most; 0: the whole split.
      seed: random seed of the initial parameters.
      profile: trace ten steps for TensorBoard's profiler.

    Raises:
      ConfigError: a field is out of bounds.
    """

    training_steps: int = 1000
    learning_rate: float = 1e-4
    lr_schedule: str = "cosine"
    warmup_steps: int = 50
    weight_decay: float = 0.0
    grad_clip_norm: float = 1.0
    log_every: int = 100
    eval_every: int = 500
    eval_steps: int = 50
    seed: int = 42
    profile: bool = False

    def __post_init__(self) -> None:
        _require_at_least(self, 1, "training_steps", "log_every", "eval_every")
        _require_at_least(self, 0, "warmup_steps", "weight_decay", "eval_steps", "seed")
        for name in ("learning_rate", "grad_clip_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        _require_choice(self, "lr_schedule", SCHEDULES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When a run is saved, and what it does where something fails.

    Attributes:
      checkpoint_every: steps between two checkpoints; 0: by the clock alone.
      checkpoint_minutes: minutes between two checkpoints; 0: by the steps alone. At 0 both, none.
      keep_checkpoints: how many of the last to keep; the best by validation is kept besides.
      fresh: begin anew where there is a run to resume; what that left is backed up.
      allow_change: names of settings that may differ from those of the run that is resumed.
      on_nan: what to do about a loss that is not finite, one of ON_NAN.
      on_save_error: what to do where a checkpoint cannot be saved, one of ON_SAVE_ERROR.

    Raises:
      ConfigError: a field is out of bounds.
    """

    checkpoint_every: int = 0
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 3
    fresh: bool = False
    allow_change: tuple[str, ...] = ()
    on_nan: str = "stop"
    on_save_error: str = "continue"

    def __post_init__(self) -> None:
        _require_at_least(self, 0, "checkpoint_every", "checkpoint_minutes")
        _require_at_least(self, 1, "keep_checkpoints")
        _require_choice(self, "on_nan", ON_NAN)
        _require_choice(self, "on_save_error", ON_SAVE_ERROR)

    @property
    def enabled(self) -> bool:
        """Whether there are checkpoints at all."""
        return bool(self.checkpoint_every or self.checkpoint_minutes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run, but for the model.

    Attributes:
      audio_dirs: folders of WAV files.
      demo: use the demo corpus in their place.
      catalogue: file of their catalogue, used as it stands; None: the folders are scanned.
      valid_fraction: share of the files held out.
      num_chunks: the most chunks to train on.
      parallel_reads: concurrent reads; 0: by the number of cores.
      strict: one file that cannot be used ends the run.
      max_skipped_fraction: more than this share of all files ends it.
      data_service: the dispatcher of the machines that read, grpc://host:port; None: this one does.
      pipeline: from files to batches.
      training: how the model is trained.
      checkpoint: how the run is saved.
      distributed: on which hosts.
      output_dir: where the run writes.
      model_name: beginning of the names of its files.
      wandb_project: None for no wandb.
      wandb_run_name: the run's name in wandb.
    """

    audio_dirs: tuple[str, ...]
    demo: bool
    catalogue: str | None
    valid_fraction: float
    num_chunks: int
    parallel_reads: int
    strict: bool
    max_skipped_fraction: float
    data_service: str | None
    pipeline: PipelineConfig
    training: TrainingConfig
    checkpoint: CheckpointConfig
    distributed: DistributedConfig
    output_dir: str
    model_name: str
    wandb_project: str | None
    wandb_run_name: str

    def path(self, suffix: str) -> str:
        """Returns `{output_dir}/{model_name}{suffix}`."""
        return os.path.join(self.output_dir, self.model_name + suffix)

    @property
    def demo_dir(self) -> str:
        """Where the demo corpus is."""
        return os.path.join(self.output_dir, "demo_corpus")


def _require_at_least(config: Any, least: int, *names: str) -> None:
    for name in names:
        if not getattr(config, name) >= least:
            raise ConfigError(f"{name} must be at least {least}, got {getattr(config, name)}")


def _require_choice(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if getattr(config, name) not in choices:
        raise ConfigError(f"{name} must be one of {choices}, got {getattr(config, name)!r}")
