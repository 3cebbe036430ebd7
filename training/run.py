"""One run, from its configuration to its files."""

import dataclasses
import logging
import math
import os
import secrets
import tempfile
from collections.abc import Mapping
from typing import Any

import jax

from evaluation.runs.metrics_log import METRICS, TIMING
from models.interface import Model
from models.model_file import save_model
from pipeline.corpus import Corpus
from pipeline.dataset import describe_batch_files
from pipeline.inspect import describe_chunks, describe_files
from runtime import distributed, failure_detector
from runtime.errors import TrainingError
from runtime.file_lock import FileLock
from runtime.filesystem import absolute, write_bytes_atomically
from runtime.formatting import format_row, format_table
from runtime.logging import logger, start_logging
from runtime.version import VERSION
from training.checkpoints.backup import back_up
from training.checkpoints.compatibility import (
    check_hosts_agree,
    check_resumable,
    fingerprint,
    host_settings,
    is_same_run,
    run_settings,
)
from training.checkpoints.schedule import CheckpointSchedule, broadcast_checkpoint
from training.checkpoints.store import Checkpoint, CheckpointStore
from training.config import RunConfig
from training.data import (
    describe_shuffle,
    error_budget,
    find_corpus,
    train_batches,
    valid_batches,
    warn_of_block_size,
)
from training.flac_baseline import kept_flac_bits_per_sample
from training.loop import TrainingLoop
from training.metrics.writers import MultiWriter, make_writers
from training.result import Result
from training.summary import summary


def run(config: RunConfig, model: Model, flagfile: str) -> Result:
    """Trains a model, or resumes its training, and writes the files of a run into `output_dir`.

    On several hosts each reads its own rows of every batch, and the primary alone writes.

    Args:
      config: the run, without its model.
      model: the model to train.
      flagfile: text of a flag file that repeats the run, to be written beside the model.

    Returns:
      The result, also after SIGINT or SIGTERM.

    Raises:
      UserError, OSError: with a message for the user; among them that another process writes the
        same files.
    """
    if not distributed.is_primary():
        return _run(config, model, flagfile, None)
    os.makedirs(config.output_dir, exist_ok=True)
    with FileLock(config.path(".lock")) as lock:
        return _run(config, model, flagfile, lock)


def _run(config: RunConfig, model: Model, flagfile: str, lock: FileLock | None) -> Result:
    is_primary = lock is not None
    _start_logging(config, is_primary)
    corpus = find_corpus(config)
    _describe(corpus, config, is_primary)
    budget = error_budget(corpus, config)
    settings = run_settings(config, model.config, corpus.train)
    if jax.process_count() > 1:
        check_hosts_agree(distributed.gather(host_settings(config, settings, corpus.valid)))

    store = _open_store(config) if is_primary and config.checkpoint.enabled else None
    writer = MultiWriter([])
    try:
        # Read by the primary alone: the hosts need not share a disk.
        start = broadcast_checkpoint(lambda: _find_start(config, model, settings, store))
        flac, wandb_id = None, ""
        if is_primary:
            # Not before `_find_start`, which may refuse to replace the run that wrote this file.
            _write_flags(config, flagfile)
            wandb_id = _wandb_id(start)
            writer = _open_writers(config, model, corpus, start, wandb_id)
            flac = _measure_flac(config, corpus, start, writer)

        def problem() -> str | None:
            if lock is not None:
                lock.check()
            return budget.exceeded()

        loop = TrainingLoop(
            model=model,
            config=config.training,
            train_data=train_batches(config, corpus, budget.add),
            valid_data=valid_batches(config, corpus, budget.add),
            writer=writer,
            checkpoints=CheckpointSchedule(
                store,
                config.checkpoint,
                writer,
                {
                    "settings": settings,
                    "held-out audio": fingerprint(corpus.valid),
                    "wandb_id": wandb_id,
                },
            ),
            problem=problem,
            describe_batch=lambda number: describe_batch_files(corpus.train, number),
            profile_dir=os.path.join(config.output_dir, "profile", config.model_name),
        )
        result = loop.run(start)
        # Each host has read other rows, and so met other unreadable files.
        for skipped in distributed.gather(budget.skipped):
            budget.merge(skipped)
        # A finished run that is started again leaves its model as it is.
        was_finished = start is not None and start.step >= result.steps
        if is_primary and not (was_finished and os.path.exists(config.path(".npz"))):
            with failure_detector.write_lock:
                _save_model(config, model, result)
        if is_primary and not os.path.exists(config.path(".flags")):  # Removed during the run.
            _write_flags(config, flagfile)
    finally:
        writer.close()
        if store is not None:
            store.close()
    logger.info("%s", format_table(summary(config, result, flac, len(budget))))
    # Before the error: all hosts stop after the same step, and none of them fails by itself.
    distributed.finish()
    if result.failure:
        raise TrainingError(result.failure)
    return result


def _write_flags(config: RunConfig, flagfile: str) -> None:
    write_bytes_atomically(config.path(".flags"), os.fsencode(flagfile))


def _start_logging(config: RunConfig, is_primary: bool) -> None:
    if is_primary:
        start_logging(config.path("_training.log"))
    else:
        start_logging(None, level=logging.WARNING)


def _describe(corpus: Corpus, config: RunConfig, is_primary: bool) -> None:
    for label, text in [*describe_files(corpus), *describe_chunks(corpus)]:
        logger.info("%s", format_row(label, text))
    logger.info("%s", format_row("shuffle", describe_shuffle(corpus)))
    if is_primary:
        warn_of_block_size(corpus, config)
        for text in corpus.warnings():
            logger.warning("%s", text)
    hosts = f" on {jax.process_count()} hosts" if jax.process_count() > 1 else ""
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}{hosts}"
    chunks = config.pipeline.batch_size // jax.device_count()
    logger.info(
        "%s", format_row("devices", f"{devices}, {chunks} chunks each; the first step compiles")
    )


def _open_store(config: RunConfig) -> CheckpointStore:
    return CheckpointStore(config.path("_checkpoints"), keep=config.checkpoint.keep_checkpoints)


def _open_writers(
    config: RunConfig, model: Model, corpus: Corpus, start: Checkpoint | None, wandb_id: str
) -> MultiWriter:
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return make_writers(
        config.output_dir,
        config.model_name,
        wandb_project=config.wandb_project,
        wandb_run_name=config.wandb_run_name,
        wandb_id=wandb_id,
        config={
            **dataclasses.asdict(config),
            "audio_dirs": _audio_dirs(config),
            "model": dataclasses.asdict(model.config),
            "num_train_files": len(corpus.train.catalogue),
            "num_val_files": len(corpus.valid.catalogue),
            "num_params": sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes)),
            "version": VERSION,
        },
        resume_at=start.metadata["outputs"] if start else None,
    )


def _wandb_id(start: Checkpoint | None) -> str:
    """Returns the id of the run in wandb: that of the checkpoint, or a new one."""
    return start.metadata["run"]["wandb_id"] if start else secrets.token_hex(4)


def _find_start(
    config: RunConfig, model: Model, settings: Mapping[str, Any], store: CheckpointStore | None
) -> Checkpoint | None:
    """Returns the checkpoint to resume from, or None, with the files of an earlier run backed up.

    Raises:
      TrainingError: there is a run to go on with, but with other settings or more steps.
    """
    start = None
    if store is not None and not config.checkpoint.fresh:
        start = store.restore()
    allowed = config.checkpoint.allow_change
    if start is not None and is_same_run(start, settings, allowed):
        check_resumable(start, settings, allowed, model.config)
        steps = config.training.training_steps
        if start.step == steps:
            row = format_row("finished", f"all {steps} steps are done; --fresh trains anew")
        else:
            row = format_row("resuming", f"after step {start.step} of {steps}")
        logger.info("%s", row)
        return start
    # Only now, when there is audio to train on: a mistyped folder leaves an earlier run untouched.
    for suffix in (METRICS, TIMING, "_checkpoints"):
        _back_up(config.path(suffix))
    return None


def _measure_flac(
    config: RunConfig, corpus: Corpus, start: Checkpoint | None, writer: MultiWriter
) -> float | None:
    """Returns and logs FLAC's bits per sample on the held-out split; None without one."""
    is_other = False
    if start is not None:
        before, now = start.metadata["run"]["held-out audio"], fingerprint(corpus.valid)
        if is_other := before != now:
            logger.warning(
                "the files of validation have changed since the checkpoint, %s before and %s now: "
                "figures of validation are not comparable across this step",
                before,
                now,
            )
    if not len(corpus.valid):
        return None
    flac = kept_flac_bits_per_sample(corpus.valid, config.path("_flac.json"))
    if flac is not None and (start is None or is_other):
        time = 0.0 if start is None else start.metadata["loop"]["wall_time_s"]
        step = 0 if start is None else start.step
        writer.write(step, {"wall_time_s": time, "valid/flac_bits_per_sample": flac})
    return flac


def _save_model(config: RunConfig, model: Model, result: Result) -> None:
    """Saves the model; if that fails, in the temporary directory: it may have taken days."""
    path = config.path(".npz")
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
        },
    }
    try:
        os.makedirs(config.output_dir, exist_ok=True)  # It may have been removed during the run.
        _back_up(path)
        save_model(path, result.params, **content)
    except OSError as error:
        spare = os.path.join(tempfile.mkdtemp(prefix="wavestream_"), os.path.basename(path))
        save_model(spare, result.params, **content)
        raise OSError(f"{path} cannot be written ({error}): the model is in {spare}") from error


def _back_up(path: str) -> None:
    if kept := back_up(path):
        logger.info("%s of an earlier run is renamed to %s", path, kept)


def _audio_dirs(config: RunConfig) -> list[str]:
    """Returns the folders of audio as absolute paths."""
    folders = (config.demo_dir,) if config.demo else config.audio_dirs
    return [absolute(folder) for folder in folders]
