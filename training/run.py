"""One run, from its configuration to its files."""

import contextlib
import gc
import logging
import socket

import jax

from evaluation.training_runs.metrics_log import METRICS, TIMING
from models.interface import Model
from pipeline.corpus import Corpus
from pipeline.inspect import describe_chunks, describe_files
from runtime import distributed, failure_detector
from runtime.errors import TrainingError, UserError
from runtime.file_lock import FileLock
from runtime.filesystem import exists, remove
from runtime.formatting import format_number, format_row, format_table
from runtime.logging import logger, start_logging
from training.checkpoints.compatibility import (
    check_hosts_agree,
    fingerprint,
    host_settings,
    run_settings,
)
from training.checkpoints.resume import find_start
from training.checkpoints.save_schedule import CheckpointSchedule, broadcast_checkpoint
from training.checkpoints.store import CheckpointStore
from training.config import RunConfig
from training.control.signals import interruptible
from training.data import (
    describe_input,
    describe_shuffle,
    error_budget,
    find_corpus,
    train_input,
    valid_batches,
    warn_of_block_size,
)
from training.feature_pool import make_schedule
from training.flac_baseline import FLAC_FILE, measure_flac
from training.initial_model import InitialModel
from training.loop import TrainingLoop
from training.metrics.writers import MultiWriter
from training.outputs import open_writers, save_result, wandb_id, write_flags
from training.result import Result
from training.run_folder import RunFolder, open_run_folder
from training.step import Steps, make_steps
from training.summary import summary


@interruptible()
def run(
    config: RunConfig,
    model: Model,
    flagfile: str,
    initial: InitialModel | None = None,
    steps: Steps | None = None,
    lock: FileLock | None = None,
) -> Result:
    """Trains a model, or resumes its training, and writes the files of a run into `output_dir`.

    On several hosts each reads its own rows of every batch, and the primary alone writes.

    Args:
      config: the run, without its model.
      model: the model to train.
      flagfile: text of a flag file that repeats the run, to be written beside the model.
      initial: the model whose parameters a new run starts from, on all hosts the same; None: random
        ones.
      steps: of this model and config, see `compile_ahead`; None: compiled at their first calls.
      lock: of a local `output_dir`, on the primary, where it is held already; None: taken here.

    Returns:
      The result, also after SIGINT or SIGTERM.

    Raises:
      UserError, OSError: with a message for the user; among them that another process writes the
        same files.
    """
    if not distributed.is_primary():
        start_logging(None, level=logging.WARNING)
        corpus = find_corpus(config, cache_path=None)
        return _run(config, model, corpus, flagfile, initial, None, steps)
    start_logging(None)  # A lock may be waited for.
    with open_run_folder(config, lock) as folder:
        folder.fetch("_training.log", ".catalogue", FLAC_FILE)
        corpus = _find_corpus(config, folder.files)
        return _run(config, model, corpus, flagfile, initial, folder, steps)


def _find_corpus(config: RunConfig, files: RunConfig) -> Corpus:
    """Opens the corpus, and the log; where a folder was mistyped, no file of a run is left."""
    log, catalogue = files.path("_training.log"), files.path(".catalogue")
    made = [path for path in (log, catalogue) if not exists(path)]
    start_logging(log)
    try:
        return find_corpus(config, catalogue)
    except UserError:
        if log in made:
            start_logging(None)
        for path in made:
            with contextlib.suppress(OSError):
                remove(path)
        raise


def _run(
    config: RunConfig,
    model: Model,
    corpus: Corpus,
    flagfile: str,
    initial: InitialModel | None,
    folder: RunFolder | None,
    steps: Steps | None,
) -> Result:
    is_primary = folder is not None
    _describe(corpus, config, initial, is_primary)
    budget = error_budget(corpus, config)
    settings = run_settings(config, model.config, corpus.train, initial)
    held_out = fingerprint(corpus.valid)  # Once: of 10^7 files it takes seconds.
    if jax.process_count() > 1:
        check_hosts_agree(distributed.gather(host_settings(config, settings, held_out)))

    store = None
    if folder and config.checkpoint.enabled:
        store = CheckpointStore(
            config.path("_checkpoints"),
            keep=config.checkpoint.keep_checkpoints,
            outage=folder.outage,
            # A run that resumes needs the metrics of before.
            before_save=folder.upload,
        )
    writer = MultiWriter([])
    try:
        # Read by the primary alone: the hosts need not share a disk.
        start = broadcast_checkpoint(lambda: find_start(config, model.config, settings, store))
        flac, run_id = None, ""
        if folder:
            # Not before `find_start`, which may refuse to replace the run that wrote this file.
            write_flags(folder.files, flagfile)
            if start:
                folder.fetch(METRICS, TIMING)
            run_id = wandb_id(start)
            writer = open_writers(folder.files, model, corpus, start, run_id)
            flac = measure_flac(folder.files, corpus.valid, held_out, start, writer)

        def problem() -> str | None:
            if folder:
                folder.check()
            return budget.exceeded()

        loop = TrainingLoop(
            model=model,
            config=config.training,
            steps=steps or make_steps(model, config.training),
            train_data=train_input(config, model, corpus, budget.add),
            valid_data=valid_batches(config, corpus, budget.add),
            writer=writer,
            checkpoints=CheckpointSchedule(
                store,
                config.checkpoint,
                writer,
                {
                    "settings": settings,
                    "held-out audio": held_out,
                    "wandb_id": run_id,
                },
            ),
            problem=problem,
            describe_batch=lambda step: describe_input(config, corpus, step),
            profile_dir=folder.files.profile_dir if folder else None,
            initial_params=initial.file.params if initial else None,
        )
        # What is loaded by now stays. Without it the collections in a long run are cheap, and so
        # many that no garbage gathers.
        gc.collect()
        gc.freeze()
        result = loop.run(start)
        # Each host has read other rows, and so met other unreadable files.
        for skipped in distributed.gather(budget.skipped):
            budget.merge(skipped)
        # A finished run that is started again leaves its model as it is.
        was_finished = start is not None and start.step >= result.steps
        if folder and not (was_finished and folder.retry(lambda: exists(config.path(".npz")))):
            with failure_detector.write_lock:
                save_result(
                    config, folder, model, result, settings, initial, is_resumed=start is not None
                )
        if folder and not exists(folder.files.path(".flags")):  # Removed during the run.
            write_flags(folder.files, flagfile)
    finally:
        gc.unfreeze()
        writer.close()
        if store is not None:
            store.close()
    if folder:
        folder.finish()  # Before the summary, which names what is there.
    logger.info("%s", format_table(summary(config, result, flac, len(budget))))
    # Before the error: all hosts stop after the same step, and none of them fails by itself.
    distributed.finish()
    if result.failure:
        raise TrainingError(result.failure)
    return result


def _describe(
    corpus: Corpus, config: RunConfig, initial: InitialModel | None, is_primary: bool
) -> None:
    for label, text in initial.describe() if initial else ():
        logger.info("%s", format_row(label, text))
    for label, text in [*describe_files(corpus), *describe_chunks(corpus)]:
        logger.info("%s", format_row(label, text))
    logger.info("%s", format_row("shuffle", describe_shuffle(corpus)))
    if schedule := make_schedule(config, len(corpus.train)):
        train = corpus.train
        padding = 1 - train.num_samples / (len(train) * train.config.chunk_size)
        logger.info("%s", format_row("feature pool", schedule.describe(padding)))
    if is_primary:
        warn_of_block_size(corpus, config)
        for text in corpus.warnings():
            logger.warning("%s", text)
    if (hosts := distributed.num_hosts()) > 1:
        numbered = f"{socket.gethostname()}, host 0 (JAX's process {jax.process_index()})"
        logger.info("%s", format_row("hosts", f"{hosts}; {numbered}, alone writes files"))
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    chunks = format_number(config.pipeline.batch_size // jax.device_count(), "chunk")
    logger.info("%s", format_row("devices", f"{devices}, {chunks} each; the first step compiles"))
