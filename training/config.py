"""What a run is: its data, its model, its training, and where it writes."""

import dataclasses
import os
import re

from models.config import ModelConfig
from pipeline.config import PipelineConfig

ON_NAN = ("stop", "rollback")
ON_SAVE_ERROR = ("continue", "stop")
SCHEDULES = ("cosine", "linear", "constant")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The optimizer, its schedule, and how often a run looks up.

    Attributes:
      training_steps: batches to train on.
      learning_rate: of Adam, at its highest.
      lr_schedule: how the rate goes from its highest to 1% of it over the run, or stays.
      warmup_steps: steps over which the rate rises from 0.
      weight_decay: decoupled (AdamW), on matrices alone.
      grad_clip_norm: larger gradients are scaled down to this norm.
      log_every: steps between two lines of metrics.
      eval_every: steps between two validations; there is one at the end in any case.
      eval_steps: batches a validation at most; 0: the whole split.
      seed: of the initial parameters.
      profile: trace ten steps for TensorBoard's profiler.

    Raises:
      ValueError: a field is out of bounds.
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
        for name in ("training_steps", "log_every", "eval_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("warmup_steps", "weight_decay", "eval_steps", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        for name in ("learning_rate", "grad_clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if self.lr_schedule not in SCHEDULES:
            raise ValueError(f"lr_schedule must be one of {SCHEDULES}, got {self.lr_schedule!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When a run is saved, and what it does after what should not happen.

    Attributes:
      checkpoint_every: steps between two checkpoints; 0: by the clock alone.
      checkpoint_minutes: minutes between two checkpoints; 0: by the steps alone. At 0 both, none.
      keep_checkpoints: how many of the last to keep; the best by validation is kept besides.
      fresh: begin anew where there is a run to resume; what it left is set aside.
      allow_change: names of flags that may differ from those of the run that is resumed.
      on_nan: what to do about a loss that is not finite, one of ON_NAN.
      on_save_error: what to do where a checkpoint cannot be saved, one of ON_SAVE_ERROR.

    Raises:
      ValueError: a field is out of bounds.
    """

    checkpoint_every: int = 0
    checkpoint_minutes: float = 10.0
    keep_checkpoints: int = 3
    fresh: bool = False
    allow_change: tuple[str, ...] = ()
    on_nan: str = "stop"
    on_save_error: str = "continue"

    def __post_init__(self) -> None:
        for name, least in (
            ("checkpoint_every", 0),
            ("checkpoint_minutes", 0),
            ("keep_checkpoints", 1),
        ):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name, choices in (("on_nan", ON_NAN), ("on_save_error", ON_SAVE_ERROR)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {getattr(self, name)!r}")

    @property
    def enabled(self) -> bool:
        """Whether there are checkpoints at all."""
        return bool(self.checkpoint_every or self.checkpoint_minutes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostsConfig:
    """The hosts that train together; by default this one alone.

    Attributes:
      coordinator_address: HOST:PORT of the first host; "auto" to find all of this in the
        environment of a TPU VM, Slurm or Open MPI.
      num_processes: how many hosts there are.
      process_id: which one this is, from 0 on.

    Raises:
      ValueError: some of it is missing, or out of bounds.
    """

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        address, count, index = self.coordinator_address, self.num_processes, self.process_id
        if address in (None, "auto"):
            if (count, index) != (None, None):
                raise ValueError(
                    "--num_processes and --process_id need --coordinator_address=HOST:PORT, the "
                    f"same on all hosts; got {address}"
                )
        elif count is None or index is None:
            raise ValueError("--coordinator_address needs --num_processes and --process_id")
        elif (
            not re.fullmatch(r"[^/]+:\d{1,5}", str(address))
            or int(address.rpartition(":")[2]) >= 2**16
        ):
            raise ValueError(f"--coordinator_address={address}: expected HOST:PORT, or auto")
        elif not 0 <= index < count:
            raise ValueError(
                f"--process_id={index}: expected a number below --num_processes={count}, from 0 on"
            )

    @property
    def several(self) -> bool:
        """Whether there may be other hosts."""
        return self.coordinator_address is not None


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run.

    Attributes:
      audio_dirs: folders of WAV files.
      demo: use the demo corpus in their place.
      catalogue: file of their catalogue, used as it stands; None: they are looked at.
      valid_fraction: share of the files held out.
      num_chunks: the most chunks to train on.
      parallel_reads: reads under way at once; 0: by the number of cores.
      strict: a file that cannot be used ends the run.
      max_skipped_fraction: so does more than this share of them.
      data_service: the dispatcher of the machines that read, grpc://host:port; None: this one does.
      pipeline: from files to batches.
      model: the model.
      training: how it is trained.
      checkpoint: how it is saved.
      hosts: on which hosts.
      output_dir: where a run writes.
      model_name: beginning of the names of its files.
      wandb_project: None for no wandb.
      wandb_run_name: the run's name there.
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
    model: ModelConfig
    training: TrainingConfig
    checkpoint: CheckpointConfig
    hosts: HostsConfig
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
