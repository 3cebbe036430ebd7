"""The tables of model and codecs: one list of columns, shared by the console and the page."""

import enum
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from evaluation.report.formatting import aligned, bits, bound, difference, printable, ratio
from evaluation.report.summary import Coder, Cost, Interval, Summary
from evaluation.report.verdict import raw_bits, rules, verdict

COUNTED = "†"
PARTIAL = "‡"
_WIDTH = 100
_NAME_WIDTH = 21
_MAX_EXAMPLES = 3


class Table(enum.Flag):
    """Where a column is shown."""

    CONSOLE = enum.auto()
    MAIN = enum.auto()  # of the page
    OTHER_RULES = enum.auto()  # of the page: other containers, streams or samples
    ALL = CONSOLE | MAIN | OTHER_RULES


class Column(NamedTuple):
    """A column: its header, the text of its cell, empty if not applicable, and its tables.

    In a header, {raw} stands for what is compressed, such as "8 bits".
    """

    header: str
    cell: Callable[[Coder], str]
    tables: Table


class Row(NamedTuple):
    """A row: its coder, the marks of its footnotes, and its cells."""

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
    Column("of {raw}", lambda x: _known(x.cost.ratio, ratio), _C | _M),
    Column("95% interval", lambda x: _interval(x.interval), _C | _M),
    Column(
        "model minus codec",
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
    Column("native file", lambda x: _known((x.native or _NONE).with_container), _C | _O),
    Column("of native bits", lambda x: _known((x.native or _NONE).ratio, ratio), _O),
    Column("as read", lambda x: _known((x.as_read or _NONE).bits_per_sample), _O),
    Column("model counted", lambda x: _known(x.with_model), _C | _O),
)


def make_table(
    summary: Summary, coders: Iterable[Coder], table: Table
) -> tuple[list[str], list[Row]]:
    """Returns the headers and the rows of a table, without empty columns."""
    # An order-0 entropy is of the samples that the model reads alone.
    coders = [x for x in coders if x.kind != "order0" or x.as_read is None]
    columns = [column for column in COLUMNS if table in column.tables]
    # Without --chunked or a model file there is nothing to put in some.
    columns = [column for column in columns if any(map(column.cell, coders))]
    rows = [Row(x, marks(x, summary), [column.cell(x) for column in columns]) for x in coders]
    return [column.header.format(raw=raw_bits(summary)) for column in columns], rows


def marks(coder: Coder, summary: Summary) -> str:
    """Returns the marks of the footnotes that apply to a codec."""
    if coder.kind != "codec" or not coder.cost.files:
        return ""
    partial = coder.cost.files < summary.files
    return COUNTED * (not coder.cost.container_is_known) + PARTIAL * partial


def notes(summary: Summary) -> list[str]:
    """Returns the footnotes and the remarks on single codecs."""
    marked = {codec.name: marks(codec, summary) for codec in summary.codecs}
    found = []
    if any(COUNTED in mark for mark in marked.values()):
        found.append(f"{COUNTED} its container cannot be separated and is counted.")
    if remark := printable(summary.model.remark):
        own = summary.model.native
        native = (
            f"over {own.files:,} of {summary.files:,} files, which all of these can encode"
            if own
            else "not shown"
        )
        found.append(f"native: {native}; the model cannot code {remark}.")
    for codec in summary.codecs:
        name = printable(codec.name)
        if PARTIAL in marked[codec.name] and codec.against_model:
            found.append(
                f"{PARTIAL} {name} could encode {codec.cost.files:,} of {summary.files:,} files; "
                f"on these the model needs {bits(codec.against_model.model_bits_per_sample)}."
            )
        if codec.remark:
            found.append(f"{name}: {printable(codec.remark)}")
    return found


def file_notes(summary: Summary) -> list[str]:
    """Returns remarks on files that are not used, or although something is wrong with them."""
    skipped = [(file["path"], file["reason"]) for file in summary.skipped]
    noted = [(file["path"], file["problem"]) for file in summary.noted]
    found = [("skipped files", skipped), ("used, but damaged files", noted)]
    return [f"{label}: {_examples(files)}" for label, files in found if files]


def _examples(files: Sequence[tuple[str, str]]) -> str:
    shown = "; ".join(
        f"{printable(path)} ({printable(why)})" for path, why in files[:_MAX_EXAMPLES]
    )
    rest = len(files) - _MAX_EXAMPLES
    more = f"; and {rest:,} more, see the report" if rest > 0 else ""
    return f"{len(files):,}: {shown}{more}"


def format_table(summary: Summary) -> str:
    """Returns the verdict, the table of model and codecs, best first, and the rules.

    It fits a console of 100 columns.
    """
    headers, rows = make_table(summary, summary.coders, Table.CONSOLE)
    # Headers take two lines, broken at the last space, to fit the console.
    above, below = zip(*(header.rpartition(" ")[::2] for header in headers), strict=True)
    cells = [["", *above], ["", *below], *([_name(row), *row.cells] for row in rows)]
    lines = aligned(cells)
    rule = "-" * max(map(len, lines))
    text = [*textwrap.wrap(verdict(summary), _WIDTH), "", *lines[:2], rule, *lines[2:], rule]
    remarks = [*notes(summary), *file_notes(summary)]
    remarks += [f"{term}: {meaning}" for term, meaning in rules(summary)]
    for remark in remarks:
        text += textwrap.wrap(remark, _WIDTH, subsequent_indent="  ")
    return "\n".join(text)


def _name(row: Row) -> str:
    name, width = printable(row.coder.name), _NAME_WIDTH - len(row.marks)
    short = name if len(name) <= width else name[: width - 1] + "…"
    return ("> " if row.coder.kind == "model" else "  ") + short + row.marks
