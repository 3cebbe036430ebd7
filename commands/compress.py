"""Compress files losslessly.

For example:

    python main.py compress song.wav                      # to song.wav.wvst
    python main.py compress --fast --output_dir=archive ~/music
    python main.py compress --compare song.wav            # and FLAC's size
    python main.py compress - < song.wav > song.wav.wvst  # stdin to stdout

Each file becomes one with .wvst added to its name; of a folder, all WAVs below it. `decompress`
gives back every byte: samples, tags and all, also of files that are no WAVs.
"""

import io
import itertools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_interruption import ends_when_interrupted
from commands.codec_messages import say_plan
from commands.codec_progress import CodecProgress, compression_ratio
from commands.codec_runner import Wording, run_all, wrote
from commands.interface import Command
from evaluation.report.formatting import printable
from runtime.errors import ConfigError
from runtime.formatting import format_number, format_row
from runtime.terminal import emphasize_marked

if TYPE_CHECKING:
    from codec.files import Outcome
    from codec.jobs import Job


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Compresses; returns the exit status."""
    from codec.left_out import LeftOut
    from codec.present import count_other_models

    goes_on = not values.delete_input_file
    left_out, named_set = LeftOut(), codec_files.named_set(values)
    if values.json and values.compare:
        raise ConfigError("--json and --compare, which prints a table: expected one of them")
    is_stdin = codec_files.is_stdin(arguments, values)
    jobs = []
    if not is_stdin:  # Before the models: a mistyped name is reported at once.
        jobs = codec_files.find_jobs(values, arguments, left_out, compress=True, goes_on=goes_on)
    if values.dry_run:
        return say_plan(jobs, left_out, values, compress=True)
    from codec.choose import of_set

    models = of_set(codec_files.load_models(values, "range_coder._encode_all"), named_set)
    from codec.files import compress_file
    from runtime.logging import logger

    given = models[0]
    if given.coder.probe:
        logger.warning("%s: its files decode %s", given.name, given.promise)
    if values.model:
        models = codec_files.with_fallback(models)
    count_other_models(left_out, [model.fingerprint for model in models])
    if is_stdin:
        _compress_stdin(values, models)
        return None
    files, segments = codec_files.share_threads(values, len(jobs))
    if values.compare and jobs:
        # Of the sources, before one of them is deleted.
        from commands.codec_comparison import Comparison

        with ends_when_interrupted():
            comparison = Comparison([job.source for job in jobs])

    problems: dict[str, str] = {}
    warnings: dict[str, str] = {}

    def work(job: "Job", progress: CodecProgress) -> "Outcome":
        outcome = compress_file(
            job,
            models,
            segment=values.segment,
            num_threads=segments,
            force=values.force,
            delete_source=values.delete_input_file,
            progress=progress.add,
        )
        if outcome.problem:
            problems[job.source] = outcome.problem
        if outcome.warning:
            warnings[job.source] = outcome.warning
        return outcome

    def line(job: "Job", outcome: "Outcome") -> str:
        removed = f"; removed {printable(job.source)}" if values.delete_input_file else ""
        return wrote(outcome, compression_ratio) + removed

    done = run_all(
        jobs,
        work,
        files,
        Wording(
            *(line, "source", "compressed", compression_ratio),
            goes_on=goes_on and not values.force,
        ),
        left_out,
        verbose=values.verbose,
        as_json=values.json,
    )
    if problems and not values.json:
        print(format_row("without a model", _describe(problems, "kept by LZMA")))
    if warnings and not values.json:
        print(format_row("warnings", _describe(warnings, "kept byte for byte")))
    if values.model:
        _warn_of_fallback(models, done.fingerprints)
    if values.compare and jobs:
        table = comparison.table({job.source: job.target for job in done.jobs})
        print(emphasize_marked(table, sys.stdout))
    return done.status


def _describe(problems: Mapping[str, str], kept: str) -> str:
    """Returns how many files there is something to say of, and the first of them with it."""
    from pipeline.catalogue.catalogue import Skipped
    from pipeline.corpus import describe_skipped

    files = [Skipped(printable(path), problems[path]) for path in sorted(problems)]
    return f"{format_number(len(files), 'file')}, {kept}: {describe_skipped(files)}"


def _warn_of_fallback(models: Sequence[Any], used: Sequence[bytes]) -> None:
    """Says how many files another model has coded than that which was named.

    Args:
      models: of `codec_files.with_fallback`.
      used: the fingerprint of each file.
    """
    from runtime.logging import logger

    given, fallback = models[0], models[-1]
    if count := len(used) - used.count(given.fingerprint) - used.count(b""):
        name = os.path.splitext(os.path.basename(fallback.name))[0]
        logger.warning(
            "%s codes samples of at most %d bits: %s of more, coded by wavestream's own model %s",
            given.name,
            given.coder.depth,
            "1 file is" if count == 1 else f"{count:,} files are",
            name,
        )


def _compress_stdin(values: FlagValues, models: Sequence[Any]) -> None:
    from codec.encoder import compress_parts
    from codec.header import read_header
    from runtime.logging import logger

    _, threads = codec_files.share_threads(values, 1)
    with codec_files.seekable_stdin() as source:
        size = source.seek(0, os.SEEK_END)
        problems: list[str] = []
        warnings: list[str] = []
        parts = compress_parts(
            source,
            size,
            models,
            segment=values.segment,
            num_threads=threads,
            report=problems.append,
            warn=warnings.append,
        )
        first = next(parts)  # The header.
        if (format_ := read_header(io.BytesIO(first))) is not None:
            _warn_of_fallback(models, [format_.fingerprint])
        codec_files.write_stdout(itertools.chain([first], parts))
        for warning in warnings:
            logger.warning("stdin is kept as it is: %s", warning)
        for problem in problems:
            logger.warning("stdin is kept by LZMA, without a model: %s", problem)


COMMAND = Command(
    doc=__doc__,
    groups=(flags.COMPRESSED_FILES, flags.CODING, flags.LINES),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
