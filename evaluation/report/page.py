"""The page of the report, from the dict of figures.

Every figure on it is a `<span data-figure="model.ratio">` of what stands at that path in
report.json; it holds no number of its own but in its rules and its pictures.
"""

from evaluation.report import columns
from evaluation.report.columns import Column
from evaluation.report.figures import Figures, ranking
from evaluation.report.formatting import Shown, Text, find
from evaluation.report.markup import (
    definitions,
    document,
    inline,
    paragraph,
    picture,
    section,
    table,
)
from evaluation.report.plots import as_svg, codecs_plot, files_plot, loudness_plot, position_plot
from evaluation.report.rules import notes, rules
from evaluation.report.stylesheet import STYLESHEET
from evaluation.report.verdict import reference, verdict

_MOST_FILES = 10  # at either end
_MOST_SKIPPED = 50
_DIFFERENCE = "Where the difference is below zero, the model needs fewer bits."
_DIFFERENCE_INTERVAL = (
    " It is over the same files: its interval tells more than whether the other two overlap, and "
    "where it includes zero, neither is clearly better."
)


def render(figures: Figures) -> str:
    """Returns the page, an HTML document that needs nothing else."""
    parts = [
        _header(figures),
        _comparison(figures),
        _pictures(figures),
        _other_rules(figures),
        section("Rules", definitions(figures, _rules(figures)), style="rules"),
        _files(figures),
        _settings(figures),
        _skipped(figures),
    ]
    return document("Bits per sample", STYLESHEET, "\n".join(filter(None, parts)))


def _header(figures: Figures) -> str:
    subject: Text = ["Evaluation of "]
    if "model" in figures["settings"]:
        subject.append(Shown("settings.model", "setting"))
    else:
        subject.append("a model")
    rows: list[tuple[str, Text]] = [
        ("files" if figures["files"] > 1 else "file", [Shown("files", "count")]),
        ("samples", [Shown("samples", "count")]),
        ("of the raw bits", [Shown("model.ratio", "ratio")]),
        ("bits per sample, mean over files", [Shown("model.mean_over_files")]),
    ]
    if figures["model"]["upper_byte_bits_per_sample"] is not None:
        rows.append(("of them in the upper byte", [Shown("model.upper_byte_bits_per_sample")]))
        rows.append(("in the lower byte", [Shown("model.lower_byte_bits_per_sample")]))
    return (
        f"<header>{paragraph(figures, subject)}"
        f"<h1>{inline(figures, verdict(figures))}</h1></header>\n"
        f'<div class="summary">{definitions(figures, rows)}</div>'
    )


def _comparison(figures: Figures) -> str:
    body = _table(
        figures,
        ranking(figures),
        [
            ([], columns.name),
            (["bits per sample"], columns.rate),
            (["of raw"], columns.ratio),
            ([Shown("interval.confidence", "share"), " interval"], columns.interval),
            (["model less codec"], columns.difference),
            (["its interval"], columns.difference_interval),
        ],
    )
    remarks = notes(figures)
    if reference(figures) is not None:
        about_interval = _DIFFERENCE_INTERVAL if figures["model"]["interval"] else ""
        remarks.insert(0, [_DIFFERENCE, about_interval])
    return section(
        "Model and codecs", body, *(paragraph(figures, remark, "note") for remark in remarks)
    )


def _other_rules(figures: Figures) -> str:
    paths = [
        path for path in ranking(figures) if path == "model" or find(figures, path).get("files")
    ]
    if paths == ["model"] and not figures["model"]["bytes"]:
        return ""
    body = _table(
        figures,
        paths,
        [
            ([], columns.name),
            (["as above"], columns.rate),
            (["with container"], columns.with_container),
            (["each chunk alone"], columns.chunk_alone),
            (["model counted"], columns.with_model),
            (["native samples"], columns.native),
            (["of raw, native"], columns.native_ratio),
        ],
    )
    return section("The same under other rules, in bits per sample", body)


def _table(figures: Figures, paths: list[str], named_columns: list[tuple[Text, Column]]) -> str:
    """A table of the model and codecs."""
    rows = [
        (path.split(".")[0], [column(figures, path) for _, column in named_columns])
        for path in paths
    ]
    return table(figures, [header for header, _ in named_columns], rows)


def _pictures(figures: Figures) -> str:
    plots = [
        (codecs_plot(figures), "What model and codecs need."),
        (
            position_plot(figures),
            "What context buys: the first samples of a chunk are coded knowing little, the last "
            "knowing all before them. Where the line still falls at the right, longer chunks pay.",
        ),
        (files_plot(figures), "Each file: below the diagonal, the model needs less."),
        (
            loudness_plot(figures),
            "What chunks of each loudness cost (line), and how much of the audio they are (bars).",
        ),
    ]
    return section("Pictures", *(picture(as_svg(plot), text) for plot, text in plots if plot))


def _rules(figures: Figures) -> list[tuple[str, Text]]:
    return [(term, [meaning]) for term, meaning in rules(figures)]


def _files(figures: Figures) -> str:
    """The files where the model does best beside the reference codec, and worst."""
    index = reference(figures)
    if index is None:
        return ""
    codec = f"codecs.{index}"
    differences = find(figures, f"{codec}.against_model.per_file")
    order = sorted(
        (i for i, difference in enumerate(differences) if difference is not None),
        key=lambda i: differences[i],
    )
    if len(order) <= 2 * _MOST_FILES:
        parts = [("FileTable, from the model's best to its worst", order)]
    else:
        parts = [
            ("FileTable, the model's best", order[:_MOST_FILES]),
            ("FileTable, the model's worst", order[: -_MOST_FILES - 1 : -1]),
        ]
    headers: list[Text] = [[], ["samples"], ["model"], [Shown(f"{codec}.codec", "text")]]
    headers.append(["model less codec"])
    return "\n".join(
        section(
            title, table(figures, headers, [("", _file(codec, i)) for i in part]), style="names"
        )
        for title, part in parts
    )


def _file(codec: str, i: int) -> list[Text]:
    return [
        [Shown(f"per_file.names.{i}", "text")],
        [Shown(f"per_file.samples.{i}", "count")],
        [Shown(f"per_file.bits_per_sample.{i}")],
        [Shown(f"{codec}.per_file.bits_per_sample.{i}")],
        [Shown(f"{codec}.against_model.per_file.{i}", "difference")],
    ]


def _settings(figures: Figures) -> str:
    rows: list[tuple[str, Text]] = [
        (name, [Shown(f"settings.{name}", "setting")]) for name in figures["settings"]
    ]
    rows += [
        ("codec " + codec["codec"], [Shown(f"codecs.{i}.version", "text")])
        for i, codec in enumerate(figures["codecs"])
        if codec["version"]
    ]
    rows.append(("time for the model", [Shown("model.seconds", "seconds")]))
    return section("Settings", definitions(figures, rows), style="settings")


def _skipped(figures: Figures) -> str:
    count = figures["skipped"]["count"]
    if not count:
        return ""
    rows: list[list[Text]] = [
        [[Shown(f"skipped.files.{i}.path", "text")], [Shown(f"skipped.files.{i}.reason", "text")]]
        for i in range(min(count, _MOST_SKIPPED))
    ]
    total: Text = [Shown("skipped.count", "count"), " could not be used"]
    total.append("." if count <= _MOST_SKIPPED else "; these are the first, report.json names all.")
    listing = table(figures, [["file"], ["why"]], [("", row) for row in rows])
    return section("Skipped files", paragraph(figures, total), listing, style="names skipped")
