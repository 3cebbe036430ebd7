"""Configuration of a run, without its model: data, training, checkpoints, output."""

import dataclasses
import os
from typing import Any

from pipeline.config import PipelineConfig, demo_dir
from runtime.cluster import DistributedConfig
from runtime.errors import ConfigError, require_at_least

ON_NAN = ("stop", "rollback")
ON_SAVE_ERROR = ("continue", "stop")
SCHEDULES = ("cosine", "linear", "constant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimizer, its schedule, and how often a run logs and validates.

    Attributes:
      training_steps: number of steps, one batch each.
      learning_rate: peak learning rate of Adam.
      lr_schedule: decay from the peak to 1% of it, or none; one of SCHEDULES.
      warmup_steps: steps of linear warmup to the peak; at most half of `training_steps`.
      weight_decay: decoupled weight decay (AdamW), of matrices only.
      grad_clip_norm: maximum global norm of the gradient.
      log_every: steps between logged metrics.
      eval_every: steps between validations; the last step is always validated.
      eval_steps: maximum number of batches per validation, an even sample; 0: the whole split.
      seed: random seed of the initial parameters.
      profile: whether to trace ten steps for TensorBoard's profiler.

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
        require_at_least(self, 1, "training_steps", "log_every", "eval_every")
        require_at_least(self, 0, "warmup_steps", "weight_decay", "eval_steps", "seed")
        for name in ("learning_rate", "grad_clip_norm"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} must be above 0, got {getattr(self, name)}")
        _require_choice(self, "lr_schedule", SCHEDULES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When a run is saved, and what happens after a failure.

    Attributes:
      checkpoint_every: steps between checkpoints; 0: by time only.
      checkpoint_minutes: minutes between checkpoints; 0: by steps only. Both 0: no checkpoints.
      keep_checkpoints: number of latest checkpoints to keep, in addition to the best by validation.
      fresh: start from step 0 even if there is a run to resume, whose files are backed up.
      allow_change: names of settings that may differ from those of the resumed run.
      on_nan: what to do after a loss that is not finite; one of ON_NAN.
      on_save_error: what to do if a checkpoint cannot be saved; one of ON_SAVE_ERROR.

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
        require_at_least(self, 0, "checkpoint_every", "checkpoint_minutes")
        require_at_least(self, 1, "keep_checkpoints")
        _require_choice(self, "on_nan", ON_NAN)
        _require_choice(self, "on_save_error", ON_SAVE_ERROR)

    @property
    def enabled(self) -> bool:
        """Whether there are checkpoints at all."""
        return bool(self.checkpoint_every or self.checkpoint_minutes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeaturePoolConfig:
    """Steps on samples that are drawn at random from the features of the last batches.

    Attributes:
      samples_per_step: samples drawn for a step, over all hosts and devices.
      feature_pool: samples whose features are kept, over all hosts; rounded up to whole batches.
      feature_reuse: how often a sample is drawn, on average.

    Raises:
      ConfigError: a field is out of bounds.
    """

    samples_per_step: int = 4096
    feature_pool: int = 1_000_000
    feature_reuse: int = 4

    def __post_init__(self) -> None:
        require_at_least(self, 1, "samples_per_step", "feature_pool", "feature_reuse")


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """How chunks are changed before they are trained on.

    Attributes:
      mix_probability: share of the chunks that are mixed with another one, at random gains.
      gain_probability: share of the others that are trained on at a random gain below 1.

    Raises:
      ConfigError: a field is out of bounds.
    """

    mix_probability: float = 0.0
    gain_probability: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mix_probability", "gain_probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must be from 0 to 1, got {getattr(self, name)}")

    @property
    def enabled(self) -> bool:
        """Whether anything is changed."""
        return bool(self.mix_probability or self.gain_probability)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A run, without its model.

    Attributes:
      audio_dirs: folders of WAV files.
      demo: use the demo corpus instead.
      catalogue: file with the headers of all WAV files, used without listing the folders, and
        created if missing; None: the folders are scanned.
      valid_fraction: fraction of the files held out for validation.
      num_chunks: maximum number of training chunks.
      parallel_reads: number of parallel reads; 0: by the number of cores.
      strict: whether the first unusable file ends the run.
      max_skipped_fraction: the run ends if more than this fraction of the files is unusable.
      data_service: dispatcher of a tf.data service, grpc://host:port; None: this host reads.
      pipeline: from files to batches.
      training: the optimizer, and how often to log and validate.
      pool: how samples of the batches are drawn; None: a step is a batch of whole chunks.
      augmentation: how chunks are changed before they are trained on.
      checkpoint: how the run is saved and resumed.
      distributed: the hosts of the run.
      output_dir: folder for the files of the run, local or in a bucket.
      model_name: prefix of the names of these files.
      wandb_project: project in Weights & Biases; None: it is not used.
      wandb_run_name: name of the run there.
      init_from: name or path of the model whose parameters training starts from; None: random ones.

    Raises:
      ConfigError: the samples of a step cannot be drawn evenly from the rows of a batch.
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
    pool: FeaturePoolConfig | None = None
    augmentation: AugmentationConfig = AugmentationConfig()
    init_from: str | None = None

    def __post_init__(self) -> None:
        batch_size, pool = self.pipeline.batch_size, self.pool
        if pool is not None and pool.samples_per_step % batch_size:
            raise ConfigError(
                f"--samples_per_step={pool.samples_per_step} must be a multiple of --batch_size="
                f"{batch_size}, since as many are drawn for each of its rows; the next is "
                f"{-(-pool.samples_per_step // batch_size) * batch_size}"
            )

    def path(self, suffix: str) -> str:
        """Returns `{output_dir}/{model_name}{suffix}`."""
        return os.path.join(self.output_dir, self.model_name + suffix)

    @property
    def profile_dir(self) -> str:
        """Where TensorBoard's profiler finds the trace of `TrainingConfig.profile`."""
        return os.path.join(self.output_dir, "profile", self.model_name)

    @property
    def demo_dir(self) -> str:
        """Where the demo corpus is, on this machine."""
        return demo_dir(self.output_dir)


def _require_choice(config: Any, name: str, choices: tuple[str, ...]) -> None:
    if getattr(config, name) not in choices:
        raise ConfigError(f"{name} must be one of {choices}, got {getattr(config, name)!r}")
