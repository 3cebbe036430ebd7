"""Pieces of HTML. Whatever comes from outside is escaped here."""

import html
from collections.abc import Iterable, Sequence

from evaluation.report.figures import Figures
from evaluation.report.formatting import Shown, Text, printable, show


def escaped(text: str) -> str:
    """Returns a text as HTML, on one line and without anything that could be taken for a tag."""
    return html.escape(printable(text))


def inline(figures: Figures, text: Text) -> str:
    """Returns a text with its figures, each in a span that names its path in report.json."""
    return "".join(
        f'<span data-figure="{escaped(part.path)}">{escaped(show(figures, part))}</span>'
        if isinstance(part, Shown)
        else escaped(part)
        for part in text
    )


def table(
    figures: Figures,
    headers: Sequence[Text],
    rows: Iterable[tuple[str, Sequence[Text]]],
) -> str:
    """Returns a table of a header and rows, each with the class it gets; the first column names.

    Columns without a single cell are left out.
    """
    rows = list(rows)
    used = [i for i in range(len(headers)) if any(cells[i] for _, cells in rows)]
    head = "".join(f'<th scope="col">{inline(figures, headers[i])}</th>' for i in used)
    lines = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for style, cells in rows:
        name, *others = (inline(figures, cells[i]) for i in used)
        cells_html = "".join(f"<td>{cell}</td>" for cell in others)
        lines.append(f'<tr class="{style}"><th scope="row">{name}</th>{cells_html}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def section(title: str, *parts: str, style: str = "") -> str:
    """Returns a section under a heading; empty where it would hold nothing."""
    if not any(parts):
        return ""
    content = "\n".join(filter(None, parts))
    return f'<section class="{style}">\n<h2>{escaped(title)}</h2>\n{content}\n</section>'


def paragraph(figures: Figures, text: Text, style: str = "") -> str:
    """Returns a paragraph."""
    return f'<p class="{style}">{inline(figures, text)}</p>'


def definitions(figures: Figures, rows: Iterable[tuple[str, Text]]) -> str:
    """Returns a list of terms and what they are."""
    items = [
        f"<div><dt>{escaped(term)}</dt><dd>{inline(figures, text)}</dd></div>"
        for term, text in rows
    ]
    return "<dl>\n" + "\n".join(items) + "\n</dl>"


def picture(svg: str, caption: str) -> str:
    """Returns an SVG with its caption."""
    label = escaped(caption)
    return f'<figure role="img" aria-label="{label}">{svg}<figcaption>{label}</figcaption></figure>'


def document(title: str, stylesheet: str, body: str) -> str:
    """Returns a whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{stylesheet}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )
