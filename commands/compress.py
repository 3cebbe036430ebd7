"""Compress files losslessly.

For example:

    python main.py compress song.wav                          # to song.wav.wvst
    python main.py compress --fast --output_dir=archive ~/music
    python main.py compress --compare song.wav                # and what FLAC makes of it
    python main.py compress - < song.wav > song.wav.wvst      # from stdin to stdout

Each file becomes one with .wvst added to its name; of a folder, all WAVs below it. `decompress`
gives back every byte: samples, tags and all, also of files that are no WAVs.
"""

import os
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_progress import compression_ratio
from commands.interface import Command
from runtime.formatting import format_row


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Compresses; returns the exit status."""
    is_stdin = codec_files.is_stdin(arguments)
    models = codec_files.of_set(codec_files.load_models(values), values)
    from codec.encoder import compress_parts
    from codec.files import compress_file, find_jobs
    from runtime.logging import logger

    if models[0].coder.probe:
        logger.warning("%s: its files decode %s", models[0].name, models[0].promise)

    if is_stdin:
        _, threads = codec_files.share_threads(values, 1)
        with codec_files.seekable_stdin() as source:
            size = source.seek(0, os.SEEK_END)
            parts = compress_parts(
                source, size, models, segment=values.segment, num_threads=threads
            )
            codec_files.write_stdout(parts)
        return None
    jobs = find_jobs(arguments, codec_files.output_dir(values), compress=True)
    files, segments = codec_files.share_threads(values, len(jobs))
    if values.compare:
        # Of the sources, before one of them is deleted.
        from commands.codec_comparison import Comparison

        comparison = Comparison([job.source for job in jobs])
    status, done = codec_files.run_all(
        jobs,
        lambda job, progress: compress_file(
            job,
            models,
            segment=values.segment,
            num_threads=segments,
            force=values.force,
            delete_source=values.delete_input_file,
            progress=progress,
        ),
        files,
        compression_ratio,
    )
    if done:
        print(format_row("decodes", models[0].promise))
    if values.compare:
        print(comparison.table({job.source: job.target for job in done}))
    return status


COMMAND = Command(
    doc=__doc__,
    groups=(flags.COMPRESSED_FILES, flags.CODING),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
