"""One run, from its configuration to its files."""

import dataclasses
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from models.model_file import save_model
from pipeline.corpus import Corpus
from pipeline.data_service.client import distributed_batches
from pipeline.dataset import describe_batch_files, make_dataset
from pipeline.error_budget import ErrorBudget
from pipeline.inspect import describe_chunks, describe_files
from runtime import distributed as hosts
from runtime import failure_detector as lifeline
from runtime.filesystem import absolute
from runtime.logging import start_logging, summary_table
from training.checkpoints.backup import back_up
from training.checkpoints.compatibility import (
    check_alike,
    check_same,
    different,
    identity,
    settings_of_all,
)
from training.checkpoints.schedule import CheckpointSchedule
from training.checkpoints.store import Checkpoint, CheckpointStore
from training.config import RunConfig
from training.data import error_budget, find_corpus, warn_of_blocks
from training.flac_baseline import flac_rate
from training.job import Job, Result
from training.loop import train
from training.metrics.accumulator import TrainingError
from training.metrics.writers import MultiWriter, make_writers
from training.step import Batch
from training.summary import summary

logger = logging.getLogger("wavestream")


def run(config: RunConfig, flagfile: str) -> Result:
    """Trains a model, or goes on to, and writes all that is left of a run into `output_dir`.

    On several hosts each reads its own rows of every batch, and the first one alone writes.

    Args:
      config: the run.
      flagfile: the text of a flag file that repeats it.

    Raises:
      NoAudioError, TrainingError, ValueError, OSError: with a message for the user.
    """
    first = hosts.is_primary()
    if first:
        os.makedirs(config.output_dir, exist_ok=True)
        start_logging(config.path("_training.log"))
    else:
        start_logging(None, level=logging.WARNING)
    corpus = find_corpus(config)
    for label, text in [*describe_files(corpus), *describe_chunks(corpus)]:
        logger.info("%-16s %s", label, text)
    if first:
        warn_of_blocks(corpus, config)
    limit = error_budget(corpus, config)
    who = identity(config, corpus.train)
    if jax.process_count() > 1:
        check_alike(hosts.gather(settings_of_all(config, who, corpus.valid)))

    checkpoints = _open_checkpoints(config) if first and config.checkpoint.enabled else None
    writer = MultiWriter([])
    try:
        start = hosts.broadcast_from_primary(lambda: _find_start(config, who, checkpoints))
        flac = None
        if first:
            with open(config.path(".flags"), "w") as file:
                file.write(flagfile)
            writer = _open_writers(config, start)
            flac = _reference(corpus, start, writer)
        saver = CheckpointSchedule(
            checkpoints, config.checkpoint, writer, {"identity": who, "flac": flac}
        )
        result = train(_job(config, corpus, writer, saver, limit), start)
        for skipped in hosts.gather(limit.skipped):
            limit.merge(skipped)
        # Not again where a finished run was started once more.
        if first and not (_is_done(start, result) and os.path.exists(config.path(".npz"))):
            with lifeline.writing:
                _save(config, result)
    finally:
        writer.close()
        if checkpoints is not None:
            checkpoints.close()
    logger.info("%s", summary_table(summary(config, result, flac, len(limit))))
    hosts.part()
    if result.failure:
        raise TrainingError(result.failure)
    return result


def _job(
    config: RunConfig,
    corpus: Corpus,
    writer: MultiWriter,
    saver: CheckpointSchedule,
    limit: ErrorBudget,
) -> Job:
    rows = config.pipeline.batch_size // jax.process_count()
    first_row = jax.process_index() * rows
    reading: dict[str, Any] = {
        "rows": (first_row, first_row + rows),
        "num_devices": jax.local_device_count(),
        "on_unreadable": limit.add,
    }
    if config.parallel_reads:
        reading["parallel_reads"] = config.parallel_reads
    logger.info(
        "%-16s %d x %s%s, %d chunks each; the first step compiles",
        "devices",
        jax.device_count(),
        jax.devices()[0].device_kind,
        f" on {jax.process_count()} hosts" if jax.process_count() > 1 else "",
        config.pipeline.batch_size // jax.device_count(),
    )

    def batches(step: int) -> Iterator[Batch]:
        reading_from = {"first_step": step, **reading}
        if config.data_service:
            return distributed_batches(corpus.train, service=config.data_service, **reading_from)
        return make_dataset(corpus.train, **reading_from).as_numpy_iterator()

    return Job(
        train_data=batches,
        valid_data=make_dataset(corpus.valid, one_pass=True, **reading)
        if len(corpus.valid)
        else None,
        model=config.model,
        config=config.training,
        bits=config.pipeline.bits,
        writer=writer,
        saver=saver,
        problem=limit.exceeded,
        describe_batch=lambda step: describe_batch_files(corpus.train, step),
        profile_dir=os.path.join(config.output_dir, "profile"),
    )


def _open_checkpoints(config: RunConfig) -> CheckpointStore:
    return CheckpointStore(config.path("_checkpoints"), keep=config.checkpoint.keep_checkpoints)


def _open_writers(config: RunConfig, start: Checkpoint | None) -> MultiWriter:
    return make_writers(
        config.output_dir,
        config.model_name,
        wandb_project=config.wandb_project,
        wandb_run_name=config.wandb_run_name,
        config=settings(config),
        resume_at=start.progress["outputs"] if start else None,
    )


def _find_start(
    config: RunConfig, who: Mapping[str, Any], checkpoints: CheckpointStore | None
) -> Checkpoint | None:
    """Returns where to go on; None to begin anew, with what is there set aside.

    Raises TrainingError where there is an unfinished run that is not this one.
    """
    start = None
    if checkpoints is not None and not config.checkpoint.fresh:
        start = checkpoints.restore()
    if start is not None:
        saved, allowed = start.progress["run"]["identity"], config.checkpoint.allow_change
        is_finished = start.step >= saved["training_steps"]
        if not is_finished or not different(saved, who, allowed):
            check_same(saved, who, allowed)
            steps = config.training.training_steps
            if start.step >= steps:
                logger.info("finished         all %d steps are done; --fresh trains anew", steps)
            else:
                logger.info("resuming         after step %d of %d", start.step, steps)
            return start
    # Not before there is something to train on: a mistyped folder leaves an earlier run as it was.
    for name in ("metrics.jsonl", "timing.jsonl"):
        _back_up(os.path.join(config.output_dir, name))
    _back_up(config.path("_checkpoints"))
    return None


def _is_done(start: Checkpoint | None, result: Result) -> bool:
    """Whether there was nothing left to train."""
    return start is not None and start.step >= result.steps


def _reference(corpus: Corpus, start: Checkpoint | None, writer: MultiWriter) -> float | None:
    """Returns FLAC's bits per sample on the held-out split; None where there is none."""
    if start is not None:
        return start.progress["run"]["flac"]
    flac = flac_rate(corpus.valid) if len(corpus.valid) else None
    if flac is not None:
        writer.write(0, {"seconds": 0.0, "valid/flac_bits_per_sample": flac})
    return flac


def _save(config: RunConfig, result: Result) -> None:
    """Saves the model: in the temporary directory if need be, for it may have taken days."""
    path = config.path(".npz")
    content = {
        **settings(config),
        "steps": result.steps,
        "metrics": {**result.train, **result.valid},
    }
    try:
        _back_up(path)
        save_model(path, result.params, content)
    except OSError as error:
        spare = os.path.join(tempfile.mkdtemp(prefix="wavestream_"), os.path.basename(path))
        save_model(spare, result.params, content)
        raise OSError(f"{path} cannot be written ({error}): the model is in {spare}") from error


def _back_up(path: str) -> None:
    if kept := back_up(path):
        logger.info("%s of an earlier run is kept as %s", path, kept)


def settings(config: RunConfig) -> dict:
    """Returns the configuration as JSON values, its folders such that any other can find them."""
    folders = (config.demo_dir,) if config.demo else config.audio_dirs
    return {**dataclasses.asdict(config), "audio_dirs": [absolute(folder) for folder in folders]}
