"""The input of a run: its corpus, and batches from files to devices."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from models.interface import Batch, Model
from pipeline.corpus import Corpus, open_corpus
from pipeline.data_service.client import distributed_batches
from pipeline.dataset import make_dataset, make_order
from pipeline.demo import synthesize_demo_corpus
from pipeline.error_budget import ErrorBudget
from pipeline.iterate import iterate
from pipeline.reading.byte_ranges import OnUnreadable
from runtime.distributed import broadcast_from_primary
from runtime.errors import TrainingError
from runtime.filesystem import exists
from runtime.formatting import format_row
from runtime.logging import logger
from runtime.parallel import prefetch_to_devices
from runtime.progress import progress_bar
from training.config import RunConfig
from training.step import DeviceBatch

_PREPARED_AHEAD = 2  # Batches.


def find_corpus(config: RunConfig, cache_path: str | None) -> Corpus:
    """Opens the corpus of a run; the demo corpus is synthesized first.

    Args:
      config: the run.
      cache_path: where the headers of its files are kept; None on hosts but the primary, since they
        may share the folder.
    """
    audio_dirs = config.audio_dirs
    if config.demo:
        text = f"{config.demo_dir} (synthesized here; listen to it)"
        logger.info("%s", format_row("demo corpus", text))
        # On the primary first: all hosts may share the folder, and the others then find its files.
        broadcast_from_primary(lambda: synthesize_demo_corpus(config.demo_dir))
        synthesize_demo_corpus(config.demo_dir)
        audio_dirs = (config.demo_dir,)
    if jax.process_count() > 1 and config.catalogue and not exists(config.catalogue):
        raise TrainingError(
            f"--catalogue={config.catalogue} is missing: expected a path that all hosts can read; "
            "python main.py inspect, with the same flag and folders, creates it"
        )
    return open_corpus(
        audio_dirs,
        config.pipeline,
        valid_fraction=config.valid_fraction,
        num_chunks=config.num_chunks,
        cache_path=cache_path,
        catalogue_path=config.catalogue,
        progress=progress_bar("WAV headers"),
        num_threads=max(16, config.parallel_reads),  # They mostly wait for a disk or a network.
    )


def error_budget(corpus: Corpus, config: RunConfig) -> ErrorBudget:
    """Returns the budget of unusable files. Raises TrainingError if it is exceeded already."""
    skipped = corpus.catalogue.skipped
    budget = ErrorBudget(
        len(corpus.catalogue) + len(skipped),
        skipped,
        strict=config.strict,
        max_fraction=config.max_skipped_fraction,
    )
    if problem := budget.exceeded():
        raise TrainingError(problem)
    return budget


def describe_shuffle(corpus: Corpus) -> str:
    """Returns how far the order of the chunks is from a uniform draw, for the log."""
    config, window = corpus.train.config, make_order(corpus.train).window
    runs = config.batch_size * window // config.chunks_per_read
    mib = window * config.batch_size * config.chunk_size * config.sample_bytes / 2**20
    return (
        f"reads of {config.chunks_per_read} chunks, {runs:,} of them, from all over the corpus, in "
        f"a window of {window:,} steps ({mib:,.0f} MiB)"
    )


def warn_of_block_size(corpus: Corpus, config: RunConfig) -> None:
    """Warns if a chunk does not hold one pair of left and right blocks."""
    block, chunk = config.pipeline.stereo_blocking_n, config.pipeline.chunk_size
    stereo = (corpus.catalogue.files.channels > 1).any()
    if config.pipeline.downmix or not stereo or 2 * block == chunk:
        return
    logger.warning(
        "2 * --stereo_blocking_n = %d is %s than --chunk_size=%d: %s; --stereo_blocking_n=%d makes "
        "it exactly one",
        2 * block,
        *(
            ("more", chunk, "chunks hold no complete left/right pair of blocks")
            if 2 * block > chunk
            else ("less", chunk, "chunks hold several pairs of blocks, the last one maybe in part")
        ),
        max(1, chunk // 2),
    )


def train_batches(
    config: RunConfig, corpus: Corpus, on_unreadable: OnUnreadable
) -> Callable[[int], Iterator[Batch]]:
    """Returns a function from a step to the endless training batches from that step on."""
    options = _dataset_options(config, on_unreadable)

    def batches(first_step: int) -> Iterator[Batch]:
        if config.data_service:
            return distributed_batches(
                corpus.train, service=config.data_service, first_step=first_step, **options
            )
        return iterate(make_dataset(corpus.train, first_step=first_step, **options))

    return batches


def valid_batches(
    config: RunConfig, corpus: Corpus, on_unreadable: OnUnreadable
) -> Callable[[], Iterator[Batch]] | None:
    """Returns a function to the batches of the held-out split; None if no file is held out.

    With `eval_steps` they are an even sample of it, the same every time.
    """
    if not len(corpus.valid):
        return None
    options = _dataset_options(config, on_unreadable)
    max_chunks = config.training.eval_steps * config.pipeline.batch_size or None
    dataset = make_dataset(
        corpus.valid, one_pass=True, shuffle=False, max_chunks=max_chunks, **options
    )
    return lambda: iterate(dataset)


def device_batch(model: Model, batch: Batch) -> DeviceBatch:
    """Returns the input of a step from a batch, still on the host."""
    return {"inputs": model.prepare(batch), "first": batch["first"], "stop": batch["stop"]}


def device_batches(model: Model, batches: Callable[[], Iterable[Batch]]) -> Iterator[DeviceBatch]:
    """Prepares batches in a thread, and copies them to the devices, ahead of the steps.

    Args:
      model: prepares them.
      batches: called at the first batch.
    """
    # A generator, so that no file is opened before the first batch is asked for.
    yield from prefetch_to_devices(_prepared(model, batches()))


def _prepared(model: Model, batches: Iterable[Batch]) -> Iterator[DeviceBatch]:
    """Prepares two batches ahead: a step may compute meanwhile.

    Reading stays in this thread: one that waits for a bucket could not be ended.
    """
    with ThreadPoolExecutor(1, "prepare") as executor:
        pending: collections.deque[Future[DeviceBatch]] = collections.deque()
        for batch in batches:
            pending.append(executor.submit(device_batch, model, batch))
            if len(pending) > _PREPARED_AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _dataset_options(config: RunConfig, on_unreadable: OnUnreadable) -> dict[str, Any]:
    """Returns arguments of `make_dataset`: among them which rows of each batch this host reads."""
    rows = config.pipeline.batch_size // jax.process_count()
    first_row = jax.process_index() * rows
    options: dict[str, Any] = {
        "rows": (first_row, first_row + rows),
        "num_devices": jax.local_device_count(),
        "on_unreadable": on_unreadable,
    }
    if config.parallel_reads:
        options["parallel_reads"] = config.parallel_reads
    return options
