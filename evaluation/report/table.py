"""The table of an evaluation, for a console of 100 columns."""

import textwrap
from collections.abc import Iterable

from evaluation.report import columns
from evaluation.report.figures import Figures, ranking
from evaluation.report.formatting import plain
from evaluation.report.rules import notes, rules
from evaluation.report.verdict import verdict

_WIDTH = 100
_NAME_WIDTH = 24
_COLUMNS = {
    "bits per\nsample": columns.rate,
    "of\nraw": columns.ratio,
    "95%\ninterval": columns.interval,
    "with\ncontainer": columns.with_container,
    "chunk\nalone": columns.chunk_alone,
    "\nnative": columns.native,
    "model\ncounted": columns.with_model,
}


def format_table(figures: Figures) -> str:
    """Returns the verdict, what model and codecs need, best first, and the rules.

    Args:
      figures: as `evaluation.report.figures.figures` gives them.
    """
    paths = ranking(figures)
    names = ["", "", *(_name(figures, path) for path in paths)]
    width = max(map(len, names))
    shown = [[f"{name:<{width}}" for name in names]]
    for header, column in _COLUMNS.items():
        cells = [plain(figures, column(figures, path)) for path in paths]
        if any(cells):
            cells = [*header.split("\n"), *cells]
            width = max(map(len, cells))
            shown.append([f"{cell:>{width}}" for cell in cells])
    lines = ["  ".join(line).rstrip() for line in zip(*shown, strict=True)]
    rule = "-" * max(map(len, lines))
    return "\n".join(
        [
            *textwrap.wrap(plain(figures, verdict(figures)), _WIDTH),
            "",
            *lines[:2],
            rule,
            *lines[2:],
            rule,
            *_wrapped(plain(figures, note) for note in notes(figures)),
            *_wrapped(f"{term}: {meaning}" for term, meaning in rules(figures)),
        ]
    )


def _name(figures: Figures, path: str) -> str:
    name, mark = (plain(figures, [part]) for part in columns.name(figures, path))
    width = _NAME_WIDTH - len(mark)
    short = name if len(name) <= width else name[: width - 1] + "…"
    return ("> " if path == "model" else "  ") + short + mark


def _wrapped(texts: Iterable[str]) -> list[str]:
    return [line for text in texts for line in textwrap.wrap(text, _WIDTH, subsequent_indent="  ")]
