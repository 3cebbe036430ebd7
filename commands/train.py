"""Train a model on WAV files: the default command.

For example:

    python main.py --flagfile=presets/quickstart.flags   # a demo, half a minute
    python main.py --flagfile=presets/archive_16bit.flags --audio_dir=~/music
    python main.py train --flagfile=presets/speech_8bit.flags --seed=1 ~/speech
    python main.py --flagfile=presets/finetune.flags --audio_dir=~/music

The same command line resumes a run that was interrupted. Flags after --flagfile override it.
"""

import contextlib
import os
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import shared
from commands.initial_model import load_initial_model
from commands.interface import Command
from commands.run_flag_file import as_flagfile
from commands.shared import select
from models.config import (
    AdaptiveModelConfig,
    MlpConfig,
    ModelConfig,
    ResidualMixtureConfig,
    TransformerConfig,
    default_network,
)
from models.predictors.sets import SETS
from pipeline.data_service.server import require_dispatcher
from runtime import compilation_cache, devices, distributed, jax_hosts
from runtime.cluster import DistributedConfig
from runtime.errors import ConfigError
from runtime.file_lock import FileLock
from runtime.gfile import is_remote
from runtime.logging import quieten_libraries, start_logging
from runtime.proxies import bypass_proxies
from training.config import (
    AugmentationConfig,
    CheckpointConfig,
    FeaturePoolConfig,
    RunConfig,
    TrainingConfig,
)
from training.initial_model import InitialModel

GROUPS = (  # What a first run needs comes first.
    *(flags.AUDIO, flags.OUTPUT, flags.TRAINING, flags.SAMPLES, flags.MODEL, flags.OPTIMIZER),
    *(flags.CHECKPOINTS, flags.SPLIT, flags.SKIPPED_FILES, flags.AUGMENTATION, flags.FEATURE_POOL),
    *(flags.READING, flags.WANDB, flags.COMPILATION, flags.DISTRIBUTED),
)


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Trains; returns the exit status, 128 + n if signal n ended the run, as in shells."""
    with contextlib.ExitStack() as stack:
        config, initial, lock = start(values, stack)
        return _train(values, config, initial, lock)


def _train(
    values: FlagValues, config: RunConfig, initial: InitialModel | None, lock: FileLock | None
) -> int | None:
    from models.build import build_model
    from training.compile_ahead import compile_ahead

    model_config = initial.config if initial else make_model_config(values)
    model = build_model(model_config, platform=devices.platform())
    if initial:
        initial.file.check_params(model)
    steps = compile_ahead(model, config)
    devices.keep_tensorflow_off_accelerators()  # Imports it: a second in which XLA compiles.
    from training.run import run as train

    result = train(config, model, as_flagfile(values), initial, steps, lock)
    return None if result.signal is None else 128 + result.signal


def start(
    values: FlagValues, stack: contextlib.ExitStack
) -> tuple[RunConfig, InitialModel | None, FileLock | None]:
    """Returns the config of the run, once the hosts are connected and the devices set up.

    And the model of --init_from, whose settings `values` then has, and the lock of a local folder
    on the host that writes, which `stack` releases.

    Raises:
      ConfigError, DataError, ResourceError, OSError, TrainingError: with a message for the user.
    """
    if not values.init_from:
        make_model_config(values), run_config(values)  # First, because they may raise ConfigError.
    # Before the checks: when one fails here, the other hosts must learn of it, or they would wait.
    is_primary = _connect(values)
    initial = load_initial_model(values)
    config = run_config(values)
    shared.check_audio_dirs(config.audio_dirs)
    lock = None
    if is_primary:
        shared.make_output_dir(config.output_dir, config.model_name)
        if not is_remote(config.output_dir):
            start_logging(None)  # A file system without locks is a warning.
            # Before imports that last for seconds.
            lock = stack.enter_context(FileLock(config.path(".lock")))
    shared.check_memory(config.pipeline, distributed.num_hosts())
    if config.data_service:
        bypass_proxies()
        require_dispatcher("--data_service", config.data_service)
    quieten_libraries()
    import jax

    devices.share_cores(config.pipeline.batch_size)
    compilation_cache.enable(values.compilation_cache_dir)
    devices.platform()  # Raises what jax.device_count would raise with a stack trace.
    jax_hosts.check_devices(distributed.num_hosts())
    check_devices(config.pipeline.batch_size, jax.device_count())
    return config, initial, lock


def _connect(values: FlagValues) -> bool:
    """Joins the other hosts; returns whether this is the one that writes. Raises ConfigError."""
    hosts = _hosts(values).or_found()
    if not hosts.enabled:
        return True
    start_logging(None)  # `initialize` logs why another host has failed.
    batch_size = values.batch_size
    # Here, too: connecting the hosts initializes the backends, with this number of devices.
    distributed.initialize(hosts, lambda num_hosts: devices.share_cores(batch_size // num_hosts))
    return distributed.is_primary()


# Flags of one network each.
_TRANSFORMER = ("embedding_dim", "num_layers", "num_heads", "widening_factor", "dtype")
_POOL = ("samples_per_step", "feature_pool", "feature_reuse")
_MLP = ("mlp_width", "mlp_layers", *_POOL)
_ADAPTIVE = ("predictor_set", "mixture_components")


def make_model_config(values: FlagValues) -> ModelConfig | AdaptiveModelConfig:
    """Returns the model that the flags describe. Raises ConfigError."""
    _check_network_flags(values)
    depth = shared.depth(values)
    transformer = TransformerConfig(**select(values, *_TRANSFORMER))
    if values.predictors != "adaptive":
        return ModelConfig(depth=depth, network=transformer)
    mlp = MlpConfig(width=values.mlp_width, num_layers=values.mlp_layers)
    return AdaptiveModelConfig(
        depth=depth,
        predictors=SETS[values.predictor_set],
        network=mlp if _network(values) == "mlp" else transformer,
        distribution=ResidualMixtureConfig(num_components=values.mixture_components),
    )


def _network(values: FlagValues) -> str:
    return values.network or default_network(values.predictors)


def _check_network_flags(values: FlagValues) -> None:
    """Raises ConfigError for flags of another network than that of the run."""
    is_adaptive, kind = values.predictors == "adaptive", _network(values)
    if kind == "mlp" and not is_adaptive:
        raise ConfigError("--network=mlp reads adaptive predictors: expected --predictors=adaptive")
    used, unused = (_MLP, _TRANSFORMER) if kind == "mlp" else (_TRANSFORMER, _MLP)
    for name in unused:
        if values[name].value != values[name].default:
            raise ConfigError(
                f"--{name}={values[name].value} is without effect with --network={kind}, "
                f"whose flags are {', '.join(f'--{flag}' for flag in used)}"
            )
    for name in () if is_adaptive else _ADAPTIVE:
        if values[name].value != values[name].default:
            raise ConfigError(
                f"--{name}={values[name].value} is without effect without --predictors=adaptive"
            )


def run_config(values: FlagValues) -> RunConfig:
    """Returns the run that the flags describe. Raises ConfigError."""
    _check_network_flags(values)
    has_pool = _network(values) == "mlp" and values.feature_pool
    return RunConfig(
        audio_dirs=shared.corpus_dirs(values, "train"),
        catalogue=shared.catalogue(values),
        **select(values, "demo", "valid_fraction", "num_chunks", "parallel_reads"),
        **select(values, "strict", "max_skipped_fraction", "data_service", "model_name"),
        pipeline=shared.pipeline_config(values),
        training=TrainingConfig(
            **select(values, "learning_rate", "lr_schedule", "warmup_steps", "weight_decay"),
            **select(values, "grad_clip_norm", "training_steps", "log_every", "eval_every"),
            **select(values, "eval_steps", "profile", "seed"),
        ),
        pool=FeaturePoolConfig(**select(values, *_POOL)) if has_pool else None,
        augmentation=AugmentationConfig(**select(values, "mix_probability", "gain_probability")),
        checkpoint=CheckpointConfig(
            **select(values, "checkpoint_every", "checkpoint_minutes", "keep_checkpoints"),
            **select(values, "fresh", "on_nan", "on_save_error"),
            allow_change=tuple(filter(None, values.allow_change)),
        ),
        distributed=_hosts(values),
        init_from=values.init_from or None,
        output_dir=os.path.expanduser(values.output_dir),
        wandb_project=values.wandb_project or None,
        wandb_run_name=values.wandb_run_name or _run_name(values),
    )


def _hosts(values: FlagValues) -> DistributedConfig:
    return DistributedConfig(**select(values, "coordinator_address", "num_processes", "process_id"))


def _run_name(values: FlagValues) -> str:
    return (
        f"{shared.depth(values)}bit_block{values.stereo_blocking_n}_chunk{values.chunk_size}"
        f"_steps{values.training_steps}"
    )


def check_devices(batch_size: int, num_devices: int) -> None:
    """Raises ConfigError, with the nearest valid sizes, if devices cannot share a batch evenly."""
    if batch_size % num_devices:
        below = batch_size // num_devices * num_devices
        fitting = [size for size in (below, below + num_devices) if size]
        raise ConfigError(
            f"--batch_size={batch_size} must be divisible by the number of devices, {num_devices}; "
            f"the nearest that {'is' if len(fitting) == 1 else 'are'}: "
            f"{' and '.join(map(str, fitting))}"
        )


COMMAND = Command(
    doc=__doc__,
    groups=GROUPS,
    run=run,
    arguments="[FOLDER ...]",
    arguments_flag="audio_dir",
    exclusive=(("demo", "audio_dir"),),
)
