"""Decompress files that `compress` has made, byte for byte.

For example:

    python main.py decompress song.wav.wvst
    python main.py decompress --output_dir=restored archive
    python main.py decompress --start=90 --duration=30 song.wav.wvst    # to song_90s-120s.wav
    python main.py decompress --recover damaged.wav.wvst

A damaged file is named, with the segment and the seconds of it, and without --recover nothing is
written for it. `python main.py -d` is the same as `decompress`.
"""

import functools
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_progress import CodecProgress, decompression_ratio
from commands.codec_runner import Wording, run_all, say_recover, wrote
from commands.interface import Command
from runtime.errors import ConfigError, DataError
from runtime.formatting import format_number, format_row
from runtime.terminal import styled

if TYPE_CHECKING:
    from codec.files import Outcome
    from codec.jobs import Job


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Decompresses; returns the exit status."""
    is_stdin = codec_files.is_stdin(arguments)
    is_part = _is_part(values)
    if is_part and values.recover:
        raise ConfigError("--recover: expected without --start and --duration")
    from codec.jobs import LeftOut

    left_out = LeftOut()
    jobs = []
    if not is_stdin:  # Before the models: a mistyped name is reported at once.
        goes_on = not is_part
        jobs = codec_files.find_jobs(values, arguments, left_out, compress=False, goes_on=goes_on)
    models = codec_files.load_models(values, "kernel.decode_stretch")
    folders = codec_files.folders(values)
    lost: list[str] = []
    damaged: set[str] = set()
    if is_stdin:
        _, threads = codec_files.share_threads(values, 1)
        try:
            with codec_files.seekable_stdin() as file:
                codec_files.write_stdout(_parts(file, values, models, folders, threads, lost))
        except DataError as error:
            print(styled("error:", "red", sys.stderr), f"stdin: {error}", file=sys.stderr)
            return 1
        return 1 if lost else None
    from codec.files import decompress_file, slice_file

    files, segments = codec_files.share_threads(values, len(jobs))
    shared: dict[str, Any] = {"num_threads": segments, "force": values.force}
    part = {"start": values.start, "duration": values.duration}

    def work(job: "Job", progress: CodecProgress) -> "Outcome":
        if is_part:
            return slice_file(job, models, folders, **part, **shared)

        lost_here: list[str] = []
        recover = lost_here.append if values.recover else None
        try:
            return decompress_file(
                job, models, folders, recover=recover, progress=progress.add, **shared
            )
        finally:  # Together: other files are decoded side by side.
            progress.say_lost(job.source, lost_here)
            if lost_here:
                damaged.add(job.source)

    def line(job: "Job", outcome: "Outcome") -> str:
        return wrote(outcome, ratio) + ("; from a damaged file" if job.source in damaged else "")

    ratio = None if is_part or values.recover else decompression_ratio
    done = run_all(jobs, work, files, Wording(line, "compressed", "decoded", ratio), left_out)
    if damaged and len(jobs) > 1:
        print(format_row("damaged", format_number(len(damaged), "file")))
    if not values.recover:
        say_recover(done)
    return 1 if damaged else done.status


def _parts(
    file: BinaryIO,
    values: FlagValues,
    models: Sequence[Any],
    folders: Sequence[str],
    num_threads: int,
    lost: list[str],
) -> Iterator[bytes]:
    from codec.decoder import decompress_parts, open_compressed
    from codec.recover import open_damaged, recover_parts
    from codec.seek import slice_parts

    if values.recover:
        report = functools.partial(_report, lost, "stdin")
        opened = open_damaged(file, models, folders, report)
        return recover_parts(opened, report, num_threads=num_threads)
    opened = open_compressed(file, models, folders)
    if _is_part(values):
        return slice_parts(opened, values.start, values.duration, num_threads=num_threads)
    return decompress_parts(opened, num_threads=num_threads)


def _is_part(values: FlagValues) -> bool:
    return values.start != 0 or values.duration is not None


def _report(lost: list[str], name: str, text: str) -> None:
    lost.append(text)
    print(f"lost: {name}: {text}", file=sys.stderr)


COMMAND = Command(
    doc=__doc__,
    groups=(flags.DECODED_FILES, flags.DECODING),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
