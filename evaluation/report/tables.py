"""The tables of model and codecs: one list of columns, for the console and the page alike."""

import enum
import textwrap
from collections.abc import Callable, Iterable
from typing import NamedTuple

from evaluation.report.formatting import aligned, bits, bound, difference, printable, ratio
from evaluation.report.summary import Coder, Cost, Interval, Summary
from evaluation.report.verdict import rules, verdict

COUNTED = "†"
PARTIAL = "‡"
_WIDTH = 100
_NAME_WIDTH = 24


class Table(enum.Flag):
    """Where a column is shown."""

    CONSOLE = enum.auto()
    MAIN = enum.auto()  # of the page
    OTHER_RULES = enum.auto()  # of the page: the same audio, or its source, under other rules
    ALL = CONSOLE | MAIN | OTHER_RULES


class Column(NamedTuple):
    """A column: its header, the text of its cell, empty where it does not apply, and its tables."""

    header: str
    cell: Callable[[Coder], str]
    tables: Table


class Row(NamedTuple):
    """A row: what it is about, the marks that its figures need, and its cells."""

    coder: Coder
    marks: str
    cells: list[str]


def _known(value: float | None, style: Callable[[float | None], str] = bits) -> str:
    return "" if value is None else style(value)


def _interval(interval: Interval | None, style: Callable[[float | None], str] = bound) -> str:
    return f"{style(interval.low)} to {style(interval.high)}" if interval else ""


_NONE = Cost()
_C, _M, _O = Table.CONSOLE, Table.MAIN, Table.OTHER_RULES
COLUMNS = (
    Column("bits per sample", lambda x: bits(x.cost.bits_per_sample), Table.ALL),
    Column("of raw", lambda x: _known(x.cost.ratio, ratio), _C | _M),
    Column("95% interval", lambda x: _interval(x.interval), _C | _M),
    Column(
        "model less codec",
        lambda x: difference(x.against_model.difference) if x.against_model else "",
        _M,
    ),
    Column(
        "its interval",
        lambda x: _interval(x.against_model.interval, difference) if x.against_model else "",
        _M,
    ),
    Column("with container", lambda x: _known(x.cost.with_container), _C | _O),
    Column("chunk alone", lambda x: _known((x.chunked or _NONE).bits_per_sample), _C | _O),
    Column("native", lambda x: _known((x.native or _NONE).bits_per_sample), _C | _O),
    Column("of raw, native", lambda x: _known((x.native or _NONE).ratio, ratio), _O),
    Column("model counted", lambda x: _known(x.with_model), _C | _O),
)


def make_table(
    summary: Summary, coders: Iterable[Coder], table: Table
) -> tuple[list[str], list[Row]]:
    """Returns the headers and the rows of a table; columns without a single cell are left out."""
    coders = list(coders)
    columns = [column for column in COLUMNS if table in column.tables]
    columns = [column for column in columns if any(map(column.cell, coders))]
    rows = [Row(x, marks(x, summary), [column.cell(x) for column in columns]) for x in coders]
    return [column.header for column in columns], rows


def marks(coder: Coder, summary: Summary) -> str:
    """Returns the marks that a codec's figures need."""
    if coder.kind != "codec" or not coder.cost.files:
        return ""
    partial = coder.cost.files < summary.files
    return COUNTED * (not coder.cost.container_is_known) + PARTIAL * partial


def notes(summary: Summary) -> list[str]:
    """Returns what is to be known of single codecs."""
    marked = {codec.name: marks(codec, summary) for codec in summary.codecs}
    found = []
    if any(COUNTED in mark for mark in marked.values()):
        found.append(f"{COUNTED} its container cannot be separated and is counted.")
    for codec in summary.codecs:
        name = printable(codec.name)
        if PARTIAL in marked[codec.name] and codec.against_model:
            found.append(
                f"{PARTIAL} {name} could take {codec.cost.files:,} of {summary.files:,} files; on "
                f"these the model needs {bits(codec.against_model.model_bits_per_sample)}."
            )
        if codec.remark:
            found.append(f"{name}: {printable(codec.remark)}")
    return found


def format_table(summary: Summary) -> str:
    """Returns the verdict, what model and codecs need, best first, and the rules.

    It is for a console of 100 columns.
    """
    headers, rows = make_table(summary, summary.coders, Table.CONSOLE)
    # A header takes two lines, broken at its last space.
    above, below = zip(*(header.rpartition(" ")[::2] for header in headers), strict=True)
    cells = [["", *above], ["", *below], *([_name(row), *row.cells] for row in rows)]
    lines = aligned(cells)
    rule = "-" * max(map(len, lines))
    text = [*textwrap.wrap(verdict(summary), _WIDTH), "", *lines[:2], rule, *lines[2:], rule]
    remarks = [*notes(summary), *(f"{term}: {meaning}" for term, meaning in rules(summary))]
    for remark in remarks:
        text += textwrap.wrap(remark, _WIDTH, subsequent_indent="  ")
    return "\n".join(text)


def _name(row: Row) -> str:
    name, width = printable(row.coder.name), _NAME_WIDTH - len(row.marks)
    short = name if len(name) <= width else name[: width - 1] + "…"
    return ("> " if row.coder.kind == "model" else "  ") + short + row.marks
