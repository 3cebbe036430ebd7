"""Show what is in compressed files: format, model, segments, sizes.

For example:

    python main.py info song.wav.wvst
    python main.py info archive                         # of several a line each
    python main.py info --verbose archive               # all of each
    python main.py info --json archive | jq .bits_per_sample

Nothing is decoded, and no model is needed.
"""

import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_messages import json_error, say_failed, say_left_out
from commands.interface import Command
from evaluation.report.formatting import NOTHING, aligned, printable
from runtime.errors import ConfigError, UserError, message_of
from runtime.formatting import format_number, format_row, format_timestamp
from runtime.terminal import styled

if TYPE_CHECKING:
    from codec.file_info import Info

_HEADER = ("bytes", "ratio", "bits/sample", "encoding", "channels", "Hz", "model", "length")


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Prints what is in each file; returns the exit status."""
    if codec_files.is_stdin(arguments):
        raise ConfigError("info does not read stdin: expected files")
    from codec.file_info import read_info
    from codec.jobs import find_jobs
    from codec.left_out import LeftOut

    folders = codec_files.folders(values)
    left_out = LeftOut()
    jobs = find_jobs(arguments, None, compress=False, left_out=left_out)
    shown = {"as_json": values.json, "verbose": values.verbose}
    status = 1 if say_failed(left_out, **shown) else None
    is_table = len(jobs) > 1 and not values.verbose and not values.json
    found: list[Info] = []
    for job in jobs:
        try:
            with open(job.source, "rb") as file:
                info = read_info(file, folders)
        except (UserError, OSError) as error:
            if values.json:
                print(json_error(job.source, message_of(error)))
            _say_problem(job.source, message_of(error))
            status = 1
            continue
        if values.json:
            print(json.dumps(info.as_dict()))
        elif not is_table:
            if found:
                print()
            _print_rows(info)
        found.append(info)
        if info.problem:
            _say_problem(job.source, info.problem)
            status = 1
    if is_table and found:
        print("\n".join(_table(found)))
    if found and left_out.describe() and not values.json:
        print()
    say_left_out(left_out, as_json=values.json)
    return status


def _say_problem(path: str, problem: str) -> None:
    sys.stdout.flush()  # On a terminal and in a file of both, it stands behind its rows.
    label = styled("error:", "red", sys.stderr)
    print(f"{label} {printable(f'{path}: {problem}')}", file=sys.stderr)


def _print_rows(info: "Info") -> None:
    for label, text in info.rows():
        print(format_row(label, printable(text)))


def _table(infos: Sequence["Info"]) -> list[str]:
    """Returns a line for each file, and one for all of them.

    Ratio, bits per sample and length of all are of those whose samples are known.
    """
    wavs = [found for found in infos if found.format]
    total = [f"{sum(found.size for found in infos):,}"]
    if wavs:
        size = sum(found.size for found in wavs)
        raw, samples = (
            sum(getattr(found, name) for found in wavs) for name in ("sample_bytes", "samples")
        )
        total += [*_ratios(size, raw, samples), *(4 * [""])]
        total.append(format_timestamp(sum(found.duration for found in wavs)))
    else:
        total += (len(_HEADER) - 1) * [NOTHING]
    # The names, of any length, come last.
    names = ["file", *(printable(found.path) for found in infos)]
    names.append(format_number(len(infos), "file"))
    figures = aligned([_HEADER, *map(_cells, infos), total], left=0)
    lines = [f"{cells}  {name}" for cells, name in zip(figures, names, strict=True)]
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _cells(found: "Info") -> list[str]:
    format_ = found.format
    if format_ is None:
        return [f"{found.size:,}", *(len(_HEADER) - 1) * [NOTHING]]
    return [
        f"{found.size:,}",
        *_ratios(found.size, found.sample_bytes, found.samples),
        format_.encoding.label,
        f"{format_.channels:,}",
        f"{format_.sample_rate:,}",
        _name_of_model(found),
        format_timestamp(found.duration),
    ]


def _ratios(size: int, raw: int, samples: int) -> tuple[str, str]:
    return f"{size / max(raw, 1):.4f}", f"{8 * size / max(samples, 1):.3f}"


def _name_of_model(found: "Info") -> str:
    """Returns the name of a model that ships, the path of another, or else the fingerprint."""
    from models.shipped import FOLDER

    if not found.model:
        return found.format.fingerprint.hex() if found.format else NOTHING
    folder, name = os.path.split(found.model)
    return os.path.splitext(name)[0] if folder == FOLDER else printable(found.model)


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODELS, flags.ROWS),
    run=run,
    arguments="FILE|FOLDER ...",
)
