"""The input of a run: its corpus, and batches of its chunks."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import jax

from models.interface import Batch, Model
from pipeline.corpus import Corpus, open_corpus
from pipeline.data_service.client import distributed_batches
from pipeline.dataset import describe_batch_files, make_dataset, make_order
from pipeline.demo import synthesize_demo_corpus
from pipeline.error_budget import ErrorBudget
from pipeline.iterate import iterate
from pipeline.reading.byte_ranges import OnUnreadable
from runtime.distributed import broadcast_from_primary
from runtime.errors import TrainingError
from runtime.filesystem import exists
from runtime.formatting import format_number, format_row
from runtime.logging import logger
from runtime.program import program
from runtime.progress import progress_bar
from training.augmentation import make_augmentation
from training.config import RunConfig
from training.device_batches import device_batches, drawn_batches
from training.feature_pool import FeaturePool, make_schedule
from training.step import DeviceBatch


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
            f"{program()} inspect, with the same flag and folders, creates it"
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
        is_listed=True,
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
        f"reads of {format_number(config.chunks_per_read, 'chunk')}, {runs:,} of them, from all "
        f"over the corpus, in a window of {format_number(window, 'step')} ({mib:,.0f} MiB)"
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
    """Returns a function from a number to the endless training batches from that one on."""
    options = _dataset_options(config, on_unreadable)
    augment = make_augmentation(config.augmentation, config.pipeline, options["rows"])

    def batches(first: int) -> Iterator[Batch]:
        if not config.augmentation.enabled:
            return read(first)
        return itertools.starmap(augment, enumerate(read(first), first))

    def read(first: int) -> Iterator[Batch]:
        if config.data_service:
            return distributed_batches(
                corpus.train, service=config.data_service, first_step=first, **options
            )
        return iterate(make_dataset(corpus.train, first_step=first, **options))

    return batches


def train_input(
    config: RunConfig, model: Model, corpus: Corpus, on_unreadable: OnUnreadable
) -> Callable[[int], Iterator[DeviceBatch]]:
    """Returns a function from a step to the endless input of the steps from that one on.

    A step sees a batch of chunks or, with `config.pool`, samples drawn from the last batches.
    """
    batches = train_batches(config, corpus, on_unreadable)
    schedule = make_schedule(config, len(corpus.train))
    if schedule is None:
        return lambda step: device_batches(model, lambda: batches(step))
    settings: dict[str, Any] = {
        "num_batches": schedule.num_batches,
        "samples_per_row": schedule.samples_per_step // config.pipeline.batch_size,
        "seed": config.training.seed,
        "rows": _host_rows(config),
        "num_devices": jax.local_device_count(),
    }
    return lambda step: drawn_batches(model, batches, FeaturePool(**settings), schedule, step)


def describe_input(config: RunConfig, corpus: Corpus, step: int) -> str:
    """Describes what a step has seen, in a message: its number, and some files."""
    schedule = make_schedule(config, len(corpus.train))
    if schedule is None:
        return describe_batch_files(corpus.train, step)
    batches = schedule.batches(step)
    newest = describe_batch_files(corpus.train, batches[-1])
    return f"samples of {len(batches)} batches, the last of which is {newest}"


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


def _host_rows(config: RunConfig) -> tuple[int, int]:
    """Returns which rows of each batch this host reads: [first, last)."""
    rows = config.pipeline.batch_size // jax.process_count()
    first = jax.process_index() * rows
    return first, first + rows


def _dataset_options(config: RunConfig, on_unreadable: OnUnreadable) -> dict[str, Any]:
    """Returns arguments of `make_dataset`."""
    options: dict[str, Any] = {
        "rows": _host_rows(config),
        "num_devices": jax.local_device_count(),
        "on_unreadable": on_unreadable,
    }
    if config.parallel_reads:
        options["parallel_reads"] = config.parallel_reads
    return options
