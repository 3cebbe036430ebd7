"""What a run writes: its flag file, its metrics, its model."""

import dataclasses
import json
import math
import os
import platform
import secrets
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

import jax

from models.interface import Model
from models.model_file import load_model, save_model
from pipeline.corpus import Corpus
from runtime.atomic_files import write_bytes_atomically
from runtime.errors import DataError
from runtime.filesystem import absolute, make_folder
from runtime.version import VERSION
from training.checkpoints.backup import back_up
from training.checkpoints.checkpoint_file import Checkpoint
from training.config import RunConfig
from training.initial_model import InitialModel
from training.metrics.writers import MultiWriter, make_writers
from training.result import Result
from training.run_folder import RunFolder


def write_flags(config: RunConfig, flagfile: str) -> None:
    """Writes the text of a flag file that repeats the run. Raises OSError."""
    write_bytes_atomically(config.path(".flags"), os.fsencode(flagfile))


def open_writers(
    config: RunConfig, model: Model, corpus: Corpus, start: Checkpoint | None, wandb_id: str
) -> MultiWriter:
    """Returns the writers of a run's metrics, after those of the checkpoint that it resumes from.

    Args:
      config: the run.
      model: the model that is trained.
      corpus: what it is trained on.
      start: the checkpoint to resume from, or None.
      wandb_id: see `wandb_id`.
    """
    return make_writers(
        config.output_dir,
        config.model_name,
        wandb_project=config.wandb_project,
        wandb_run_name=config.wandb_run_name,
        wandb_id=wandb_id,
        # To count the parameters, the model is traced: only where it is asked for.
        config={} if config.wandb_project is None else _wandb_config(config, model, corpus),
        resume_at=start.metadata["outputs"] if start else None,
    )


def _wandb_config(config: RunConfig, model: Model, corpus: Corpus) -> dict[str, Any]:
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return {
        **dataclasses.asdict(config),
        "audio_dirs": _audio_dirs(config),
        "model": dataclasses.asdict(model.config),
        "num_train_files": len(corpus.train.catalogue),
        "num_val_files": len(corpus.valid.catalogue),
        "num_params": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)),
        "version": VERSION,
    }


def wandb_id(start: Checkpoint | None) -> str:
    """Returns the id of the run in wandb: that of the checkpoint, or a new one."""
    return start.metadata["run"]["wandb_id"] if start else secrets.token_hex(4)


def save_result(
    config: RunConfig,
    folder: RunFolder,
    model: Model,
    result: Result,
    settings: Mapping[str, Any],
    initial: InitialModel | None = None,
    *,
    is_resumed: bool = False,
) -> None:
    """Writes the model file; if that fails, in the temporary directory: it may have taken days.

    An earlier model is backed up, unless the same run has written it when it was interrupted.

    Args:
      config: the run.
      folder: of its files.
      model: the model.
      result: the result of its training.
      settings: the run's `run_settings`.
      initial: the model that training started from.
      is_resumed: whether the run was resumed from a checkpoint.

    Raises:
      OSError: it cannot be written, and names the place where the model is instead.
    """
    content: dict[str, Any] = {
        "model": dataclasses.asdict(model.config),
        "data": {
            "pipeline": dataclasses.asdict(config.pipeline),
            "audio_dirs": _audio_dirs(config),
            "valid_fraction": config.valid_fraction,
        },
        "training": {
            "steps": result.steps,
            "metrics": {**result.train, **result.valid},
            "config": dataclasses.asdict(config.training),
            "pool": dataclasses.asdict(config.pool) if config.pool else None,
            "augmentation": dataclasses.asdict(config.augmentation),
            "init_from": initial.record() if initial else None,
            **{name: settings[name] for name in ("num_chunks", "audio")},
            "made_with": _made_with(),
        },
    }
    path, local = config.path(".npz"), folder.files.path(".npz")
    try:
        make_folder(config.output_dir)  # It may have been removed during the run.
        if not (is_resumed and folder.retry(lambda: _is_of_the_same_run(path, content))):
            folder.retry(lambda: back_up(path))
        save_model(local, result.params, **content)
    except OSError as error:
        spare = os.path.join(tempfile.mkdtemp(prefix="wavestream_"), os.path.basename(path))
        save_model(spare, result.params, **content)
        raise OSError(f"{path} cannot be written ({error}): the model is in {spare}") from error


def _is_of_the_same_run(path: str, content: Mapping[str, Any]) -> bool:
    """Whether a model file is what the run that is saved now was at an earlier step.

    A run is a function of its settings: whatever has the same ones was on the way to this model.
    """
    try:
        file = load_model(path)
    except (FileNotFoundError, DataError):
        return False
    earlier = {"model": file.config, "data": file.data, "training": file.training}
    return file.training["steps"] < content["training"]["steps"] and _settings_of(
        earlier
    ) == _settings_of(content)


def _settings_of(content: Mapping[str, Any]) -> str:
    results = ("steps", "metrics", "made_with")
    training = {name: x for name, x in content["training"].items() if name not in results}
    return json.dumps({**content, "training": training}, sort_keys=True)


def _made_with() -> dict[str, str]:
    """Returns what the last bits of the parameters depend on besides the settings."""
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "numba", "tensorflow")
    loaded = {name: sys.modules[name] for name in packages if name in sys.modules}
    return {
        "wavestream": VERSION,
        **{name: str(getattr(module, "__version__", "")) for name, module in loaded.items()},
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "machine": platform.machine(),
    }


def _audio_dirs(config: RunConfig) -> list[str]:
    """Returns the folders of audio as absolute paths."""
    folders = (config.demo_dir,) if config.demo else config.audio_dirs
    return [absolute(folder) for folder in folders]
