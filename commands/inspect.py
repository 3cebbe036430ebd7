"""Show what is in a corpus, how it is split, and what a batch looks like.

For example:

    python main.py inspect ~/music
    python main.py inspect --audio_dir=~/music --bit_depth=16 --nodownmix
    python main.py inspect --flagfile=presets/archive_16bit.flags ~/music

Nothing is trained, and nothing is written unless --output_dir, --catalogue or --demo is given: in
OUTPUT_DIR the headers are kept for the training run that is to come there. Of a training run's
--flagfile, flags that are not listed here are ignored.
"""

import os
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import shared
from commands.interface import Command
from pipeline.config import demo_dir
from runtime import devices


def run(values: FlagValues, arguments: Sequence[str]) -> None:
    """Prints rows that describe the files, the chunks and one batch."""
    folders, config = shared.corpus_dirs(values, "inspect"), shared.pipeline_config(values)
    shared.check_audio_dirs(folders)
    output_dir = os.path.expanduser(values.output_dir)
    keeps_headers = values["output_dir"].present
    if keeps_headers or values.demo:
        shared.make_output_dir(output_dir, values.model_name)
    catalogue = os.path.join(output_dir, f"{values.model_name}.catalogue")
    shared.check_memory(config)
    devices.keep_tensorflow_off_accelerators()
    from pipeline.corpus import open_corpus
    from pipeline.demo import synthesize_demo_corpus
    from pipeline.inspect import describe_batch, describe_chunks, describe_files
    from runtime.formatting import format_row
    from runtime.logging import logger, start_logging
    from runtime.progress import progress_bar

    start_logging(None)
    if values.demo:
        folders = (demo_dir(output_dir),)
        synthesize_demo_corpus(*folders)
    corpus = open_corpus(
        folders,
        config,
        valid_fraction=values.valid_fraction,
        num_chunks=values.num_chunks,
        cache_path=catalogue if keeps_headers else None,
        catalogue_path=shared.catalogue(values),
        progress=progress_bar("WAV headers"),
        num_threads=max(16, values.parallel_reads),
    )
    for describe in (describe_files, describe_chunks, describe_batch):
        for label, text in describe(corpus):
            print(format_row(label, text), flush=True)
    for text in corpus.warnings():
        logger.warning("%s", text)


COMMAND = Command(
    doc=__doc__,
    groups=(flags.AUDIO, flags.SAMPLES, flags.SPLIT, flags.READING, flags.OUTPUT),
    run=run,
    arguments="[FOLDER ...]",
    arguments_flag="audio_dir",
    exclusive=(("demo", "audio_dir"),),
)
