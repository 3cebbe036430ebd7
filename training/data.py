"""What a run is given to train on: its corpus, and what is to be said of it."""

import logging

import jax

from pipeline.corpus import Corpus, open_corpus
from pipeline.demo import synthesize_demo_corpus
from pipeline.error_budget import ErrorBudget
from runtime import distributed as hosts
from runtime.filesystem import is_there
from runtime.progress import progress_bar
from training.config import RunConfig
from training.metrics.accumulator import TrainingError

logger = logging.getLogger("wavestream")


def find_corpus(config: RunConfig) -> Corpus:
    """Opens the corpus of a run, writing the demo corpus first where it is asked for."""
    audio_dirs = config.audio_dirs
    if config.demo:
        logger.info("demo corpus      %s (synthesized here; listen to it)", config.demo_dir)
        # First the first host: the folder may be one for all of them.
        hosts.broadcast_from_primary(lambda: synthesize_demo_corpus(config.demo_dir))
        synthesize_demo_corpus(config.demo_dir)
        audio_dirs = (config.demo_dir,)
    if jax.process_count() > 1 and config.catalogue and not is_there(config.catalogue):
        raise TrainingError(
            f"--catalogue={config.catalogue} is not there: expected it where all hosts see it; "
            "python main.py inspect, with the same flag and the same folders, makes it"
        )
    return open_corpus(
        audio_dirs,
        config.pipeline,
        valid_fraction=config.valid_fraction,
        num_chunks=config.num_chunks,
        cache_path=config.path(".catalogue") if hosts.is_primary() else None,
        catalogue_path=config.catalogue,
        progress=progress_bar("WAV headers"),
        num_threads=max(16, config.parallel_reads),
    )


def error_budget(corpus: Corpus, config: RunConfig) -> ErrorBudget:
    """Begins to count the files that cannot be used. Raises TrainingError if there are too many."""
    skipped = corpus.catalogue.skipped
    limit = ErrorBudget(
        len(corpus.catalogue) + len(skipped),
        skipped,
        strict=config.strict,
        max_fraction=config.max_skipped_fraction,
    )
    if problem := limit.exceeded():
        raise TrainingError(problem)
    return limit


def warn_of_blocks(corpus: Corpus, config: RunConfig) -> None:
    """Says so where blocks of channels do not fit chunks."""
    pipeline = config.pipeline
    stereo = (corpus.catalogue.files.channels > 1).any()
    if stereo and not pipeline.downmix:
        pair, chunk = 2 * pipeline.stereo_blocking_n, pipeline.chunk_size
        advice = f"--stereo_blocking_n={max(1, chunk // 2)} makes it exactly one"
        if pair > chunk:
            logger.warning(
                "2 * --stereo_blocking_n = %d is more than --chunk_size=%d: chunks hold no "
                "complete left/right pair of blocks; %s",
                pair,
                chunk,
                advice,
            )
        elif pair < chunk:
            logger.warning(
                "2 * --stereo_blocking_n = %d is less than --chunk_size=%d: chunks hold several "
                "left/right pairs of blocks, and may cut the last; %s",
                pair,
                chunk,
                advice,
            )
