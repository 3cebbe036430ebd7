"""The report of an evaluation: report.html to read, report.json with every number in it."""

import dataclasses
import json
import os
import re
from typing import Any

import jinja2
from markupsafe import Markup, escape

from evaluation.report import formatting
from evaluation.report.plots import as_svg, codecs_plot, files_plot, loudness_plot, position_plot
from evaluation.report.summary import Summary
from evaluation.report.tables import Table, make_table, notes
from evaluation.report.verdict import raw_bits, rules, verdict
from runtime.atomic_files import write_bytes_atomically
from runtime.filesystem import make_folder

_MAX_FILES = 10  # at either end
_MAX_SKIPPED = 50


def write_report(summary: Summary, report_dir: str | os.PathLike[str]) -> str:
    """Writes `report.html`, a single self-contained file, and `report.json` into a folder.

    Args:
      summary: the numbers of the evaluation.
      report_dir: created if missing. Each file is replaced atomically.

    Returns:
      The path of report.html.

    Raises:
      OSError: the folder cannot be written.
    """
    # Both before either is written: an error leaves the earlier report whole.
    numbers = json.dumps(dataclasses.asdict(summary), allow_nan=False, indent=1)
    page = render(summary)
    make_folder(os.fspath(report_dir))
    path = os.path.join(os.fspath(report_dir), "report.html")
    # The larger one first: where a disk has no room for it, the smaller stays, too.
    write_bytes_atomically(path, page.encode())
    write_bytes_atomically(os.path.join(os.fspath(report_dir), "report.json"), numbers.encode())
    return path


def render(summary: Summary) -> str:
    """Returns the page, a self-contained HTML document."""
    template = _environment().get_template("template.html")
    return template.render(
        summary=summary,
        raw_bits=raw_bits(summary),
        verdict=_without_breaks(verdict(summary), summary),
        main=make_table(summary, summary.coders, Table.MAIN),
        notes=[_without_breaks(note, summary) for note in notes(summary)],
        pictures=_pictures(summary),
        other_rules=_other_rules(summary),
        rules=rules(summary),
        file_tables=_file_tables(summary),
        max_skipped=_MAX_SKIPPED,
    )


def _environment() -> jinja2.Environment:
    """Templates that escape every value for HTML, and keep it on one line."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.dirname(__file__)),
        autoescape=True,
        finalize=_on_one_line,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("bits", "difference", "ratio", "seconds", "setting"):
        environment.filters[name] = getattr(formatting, name)
    environment.filters["count"] = "{:,}".format
    return environment


def _on_one_line(value: Any) -> Any:
    is_plain = isinstance(value, str) and not isinstance(value, Markup)
    return formatting.printable(value) if is_plain else value


def _without_breaks(text: str, summary: Summary) -> Markup:
    """Returns a text without line breaks inside codec names, such as "FLAC -8"."""
    names = sorted((formatting.printable(codec.name) for codec in summary.codecs), key=len)
    pattern = "|".join(re.escape(escape(name)) for name in reversed(names) if name)
    # The longest name first, since "FLAC -8" may begin another.
    escaped = escape(formatting.printable(text))
    found = re.split(f"({pattern})", escaped) if pattern else [escaped]
    template = '<span class="name">{}</span>'
    return Markup("".join(template.format(x) if i % 2 else x for i, x in enumerate(found)))


def _pictures(summary: Summary) -> list[tuple[Markup, str]]:
    plots = [
        (codecs_plot(summary), "Bits per sample of the model and of codecs."),
        (position_plot(summary), _position_caption(summary)),
        (files_plot(summary), "Each file: below the diagonal, the model needs fewer bits."),
        (
            loudness_plot(summary),
            "Bits per sample by loudness of a chunk (line), and the share of samples (bars).",
        ),
    ]
    return [(Markup(as_svg(plot)), caption) for plot, caption in plots if plot]


def _position_caption(summary: Summary) -> str:
    unit = summary.unit
    caption = (
        f"The gain from context: the first samples of a {unit} are coded with little of it, the "
        f"last with all samples before them. If the line still falls at the right, longer {unit}s "
        "help."
    )
    if unit == "chunk":
        return caption
    return (
        f"{caption} Side information, which a segment has as a whole, is counted in equal shares "
        "at all positions; where the line leaves the plot at the left, it is of very few samples."
    )


def _other_rules(summary: Summary) -> Any:
    coders = [x for x in summary.coders if x.kind == "model" or x.cost.files]
    # A model alone, whose size is unknown, has the same figure by every rule.
    if coders == [summary.model] and not summary.model_bytes:
        return None
    return make_table(summary, coders, Table.OTHER_RULES)


def _file_tables(summary: Summary) -> list[tuple[str, list[int]]]:
    """Returns the files where the model is best relative to the reference codec, and worst."""
    if not (summary.reference and summary.reference.against_model):
        return []
    differences = summary.reference.against_model.per_file
    # Relative to the codec: some files are hard for everyone.
    known = {i: value for i, value in enumerate(differences) if value is not None}
    order = sorted(known, key=known.__getitem__)
    if len(order) <= 2 * _MAX_FILES:
        return [("Files, from the model's best to its worst", order)]
    return [
        ("Files, the model's best", order[:_MAX_FILES]),
        ("Files, the model's worst", order[: -_MAX_FILES - 1 : -1]),
    ]
