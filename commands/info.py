"""Show what is in compressed files: format, model, segments, sizes.

For example:

    python main.py info song.wav.wvst
    python main.py info archive                         # of several a line each
    python main.py info --verbose archive               # all of each
    python main.py info --json archive | jq .bits_per_sample

Nothing is decoded, and no model is needed.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_messages import say_error, say_failed, say_left_out
from commands.interface import Command
from evaluation.report.formatting import NOTHING, aligned, printable
from runtime.errors import ConfigError, UserError, message_of
from runtime.formatting import format_number, format_row, format_timestamp

if TYPE_CHECKING:
    from codec.file_info import Info
    from codec.header import Format

_HEADER = ("bytes", "ratio", "bits/sample", "encoding", "channels", "Hz", "model", "length")
_SIZES = ("size", "original_size")


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
            say_error(job.source, message_of(error), as_json=values.json)
            status = 1
            continue
        if values.json:
            print(_json_line(info))
        elif not is_table:
            if found:
                print()
            for label, text in _rows(info):
                print(format_row(label, printable(text)))
        found.append(info)
        if info.problem:
            say_error(job.source, info.problem)
            status = 1
    if is_table and found:
        print("\n".join(_table(found)))
    if found and left_out.describe() and not values.json:
        print()
    say_left_out(left_out, as_json=values.json)
    return status


def _json_line(info: "Info") -> str:
    values = info.as_dict()
    path, problem = values.pop("path"), values.pop("problem")
    status = {"status": "error", "error": problem} if problem else {"status": "ok"}
    return json.dumps({"path": path, **status, **values})


def _rows(info: "Info") -> list[tuple[str, str]]:
    """Returns all of it, as rows of label and text."""
    from codec.blocks import Kind

    header, sizes = info.header, info.sizes
    rows = [("file", info.path)]
    if header is None:
        rows.append(("format", "no WAV that could be read: its bytes are kept by LZMA"))
    else:
        rows += _format_rows(info, header)
    text = (
        f"{info.size:,} bytes: segments {sizes[Kind.FRAMES] + sizes[Kind.FRAMES_AS_BYTES]:,}, "
        f"other bytes {sizes[Kind.BYTES]:,}, header and end {info.start + sizes[Kind.END]:,}"
    )
    rows.append(("size", text + (f"; {info.problem}" if info.problem else "")))
    rows.append(("original size", f"{info.original_size:,} bytes"))
    if info.original_size:
        rows.append(("ratio", f"{info.ratio:.4f} of the original size"))
    if header is not None:
        bits = f"{info.bits_per_sample:.3f}, of {header.encoding.depth} bits"
        rows.append(("bits per sample", bits))
    digest = info.source_hash
    return [*rows, ("source hash", f"{digest} (BLAKE2b, {4 * len(digest)} bits)")]


def _format_rows(info: "Info", header: "Format") -> list[tuple[str, str]]:
    from codec.blocks import Kind
    from codec.model import promise
    from models.model_file import load_model
    from models.shipped import model_path

    channels = format_number(info.channels, "channel")
    where = info.model or "which was not found (--model_dir names folders to look in)"
    length = f"{format_number(info.frames, 'frame')}, {format_timestamp(info.duration)}"
    rows = [
        ("format", f"{header.encoding.label}, {channels}, {info.samplerate:,} Hz"),
        ("length", length),
        ("model", f"{info.fingerprint}, {where}"),
    ]
    initial = info.model and load_model(model_path(info.model)).training.get("init_from")
    if initial:
        rows.append(("initial model", f"{initial['name']} ({initial['fingerprint']})"))
    plain = info.counts[Kind.FRAMES_AS_BYTES]
    text = f"{info.counts[Kind.FRAMES] + plain:,} of at most {info.segment:,} frames"
    text += f", {plain:,} without the model" if plain else ""
    return [*rows, ("decodes", promise(header.probe, header.made_with)), ("segments", text)]


def _table(infos: Sequence["Info"]) -> list[str]:
    """Returns a line for each file, and one for all of them.

    The ratio of all is of those whose original size is known, bits per sample of those whose
    samples are.
    """
    total = [f"{sum(found.size for found in infos):,}"]
    known = [found for found in infos if found.original_size or not found.problem]
    wavs = [found for found in infos if found.header]
    total.append(_ratio(*(sum(getattr(x, name) for x in known) for name in _SIZES)))
    if wavs:
        total.append(_bits(*(sum(getattr(x, name) for x in wavs) for name in ("size", "samples"))))
        total += [*(4 * [""]), format_timestamp(sum(found.duration for found in wavs))]
    else:
        total += (len(_HEADER) - len(total)) * [NOTHING]
    # The names, of any length, come last.
    names = ["file", *(printable(found.path) for found in infos)]
    names.append(format_number(len(infos), "file"))
    figures = aligned([_HEADER, *map(_cells, infos), total], left=0)
    lines = [f"{cells}  {name}" for cells, name in zip(figures, names, strict=True)]
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _cells(found: "Info") -> list[str]:
    cells = [f"{found.size:,}", _ratio(found.size, found.original_size)]
    if found.header is None:
        return [*cells, *(len(_HEADER) - len(cells)) * [NOTHING]]
    return [
        *cells,
        _bits(found.size, found.samples),
        found.header.encoding.label,
        f"{found.channels:,}",
        f"{found.samplerate:,}",
        printable(found.model or found.fingerprint),
        format_timestamp(found.duration),
    ]


def _ratio(size: int, original_size: int) -> str:
    return f"{size / original_size:.4f}" if original_size else NOTHING


def _bits(size: int, samples: int) -> str:
    return f"{8 * size / samples:.3f}" if samples else NOTHING


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODELS, flags.ROWS),
    run=run,
    arguments="FILE|FOLDER ...",
)
