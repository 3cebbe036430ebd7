"""Decompress files that `compress` has made, byte for byte.

For example:

    python main.py decompress song.wav.wvst
    python main.py decompress --output_dir=restored archive
    python main.py decompress --start=90 --duration=30 song.wav.wvst  # a part
    python main.py decompress --recover damaged.wav.wvst

A damaged file is named, with the segment and the seconds of it, and without --recover nothing is
written for it. `python main.py -d` is the same as `decompress`.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_messages import say_plan
from commands.codec_progress import CodecProgress, damage_lines, decompression_ratio
from commands.codec_runner import Wording, run_all, say_recover, wrote
from commands.interface import Command
from runtime.errors import ConfigError, DataError, UserError, message_of
from runtime.formatting import format_number, format_row
from runtime.terminal import styled

if TYPE_CHECKING:
    from codec.damage import Findings
    from codec.files import Outcome
    from codec.jobs import Job
    from codec.left_out import LeftOut


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Decompresses; returns the exit status."""
    is_stdin = codec_files.is_stdin(arguments, values)
    folders = codec_files.folders(values)
    is_part = _is_part(values)
    if is_part and values.recover:
        raise ConfigError(
            "--recover: expected without --start and --duration, which decode a part of a damaged "
            "file if it is intact; if not, recover the whole, and cut the part from that"
        )
    from codec.left_out import LeftOut

    left_out = LeftOut()
    jobs, goes_on = [], not is_part
    if not is_stdin:  # Before the models: a mistyped name is reported at once.
        jobs = codec_files.find_jobs(values, arguments, left_out, compress=False, goes_on=goes_on)
    if values.dry_run:
        if is_part:
            jobs = _parts_of(jobs, values, left_out)
        return say_plan(jobs, left_out, values, compress=None if is_part else False)
    models = codec_files.load_models(values, "kernel.decode_stretch")
    if is_stdin:
        return _decompress_stdin(values, models, folders)
    from codec.damage import Findings
    from codec.files import decompress_file, slice_file

    damaged: dict[str, Findings] = {}
    files, segments = codec_files.share_threads(values, len(jobs))
    shared: dict[str, Any] = {"num_threads": segments, "force": values.force}
    part = {"start": values.start, "duration": values.duration}

    def work(job: "Job", progress: CodecProgress) -> "Outcome":
        if is_part:
            return slice_file(job, models, folders, **part, **shared)

        found = Findings()
        recover = found if values.recover else None
        try:
            return decompress_file(
                job, models, folders, recover=recover, progress=progress.add, **shared
            )
        finally:  # Together: other files are decoded side by side.
            progress.say_damage(job.source, found.lines())
            if found.lines():
                damaged[job.source] = found

    def line(job: "Job", outcome: "Outcome") -> str:
        found = damaged.get(job.source)
        nothing = ", nothing is lost" if found and found.is_whole else ""
        return wrote(outcome, ratio) + (f"; from a damaged file{nothing}" if found else "")

    ratio = None if is_part or values.recover else decompression_ratio
    wording = Wording(line, "compressed", "decoded", ratio, goes_on=goes_on and not values.force)
    done = run_all(
        *(jobs, work, files, wording, left_out),
        model=values.model,
        verbose=values.verbose,
        as_json=values.json,
    )
    codec_files.warn_of_other_models(values, models[0], done.fingerprints, folders)
    if damaged and len(jobs) > 1 and not values.json:
        whole = sum(found.is_whole for found in damaged.values())
        text = format_number(len(damaged), "file")
        print(format_row("damaged", text + (f", of {whole:,} nothing is lost" if whole else "")))
    if not values.recover:
        say_recover(done)
    return 1 if damaged else done.status


def _parts_of(jobs: Sequence["Job"], values: FlagValues, left_out: "LeftOut") -> list["Job"]:
    """Returns the jobs of parts; of files that have none, `left_out` says why."""
    from codec.files import part_of
    from codec.header import read_header
    from pipeline.catalogue.catalogue import Skipped

    parts = []
    for job in jobs:
        try:
            with open(job.source, "rb") as file:
                parts.append(part_of(job, read_header(file), values.start, values.duration))
        except (UserError, OSError) as error:
            left_out.failed.append(Skipped(job.source, message_of(error)))
    return parts


def _decompress_stdin(
    values: FlagValues, models: Sequence[Any], folders: Sequence[str]
) -> int | None:
    """Decompresses stdin to stdout; returns the exit status."""
    from codec.damage import Findings
    from codec.model import MissingModelError, not_found

    found = Findings()
    try:
        with codec_files.seekable_stdin() as file:
            codec_files.write_stdout(_parts(file, values, models, folders, found))
    except DataError as error:
        text = str(error)
        if isinstance(error, MissingModelError):
            given = f"--model={values.model}" if values.model else ""
            text = f"it was compressed with {not_found(error.fingerprint, given=given)}"
        print(styled("error:", "red", sys.stderr), f"stdin: {text}", file=sys.stderr)
        return 1
    finally:
        if found.lines():
            print(damage_lines("stdin", found.lines()), file=sys.stderr)
    return 1 if found.lines() else None


def _parts(
    file: BinaryIO,
    values: FlagValues,
    models: Sequence[Any],
    folders: Sequence[str],
    findings: "Findings",
) -> Iterator[bytes]:
    from codec.damage import open_damaged
    from codec.decoder import decompress_parts, open_compressed
    from codec.recover import recover_parts
    from codec.seek import slice_parts

    _, num_threads = codec_files.share_threads(values, 1)
    if values.recover:
        opened = open_damaged(file, models, folders, findings)
        parts = recover_parts(opened, findings, num_threads=num_threads)
    else:
        opened = open_compressed(file, models, folders)
        if _is_part(values):
            parts = slice_parts(opened, values.start, values.duration, num_threads=num_threads)
        else:
            parts = decompress_parts(opened, num_threads=num_threads)
    used = [opened.format.fingerprint] if opened.format else []
    codec_files.warn_of_other_models(values, models[0], used, folders)
    return parts


def _is_part(values: FlagValues) -> bool:
    return values.start != 0 or values.duration is not None


COMMAND = Command(
    doc=__doc__,
    groups=(flags.DECODED_FILES, flags.DECODING, flags.LINES),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
