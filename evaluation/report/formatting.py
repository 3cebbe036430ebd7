"""Formats numbers and names for the console and the page."""

import json
from collections.abc import Callable, Sequence
from typing import Any

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"  # as wide as a plus


def printable(text: str) -> str:
    """Escapes the characters of a text that are not printable, so that it stays on one line.

    File names may hold line feeds, lone surrogates (bytes that are not UTF-8), or marks that change
    the direction of the text after them: they are escaped as in Python.
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def _dash_for_none(function: Callable[[float], str]) -> Callable[[float | None], str]:
    return lambda value: NOTHING if value is None else function(value)


@_dash_for_none
def bits(value: float) -> str:
    """Bits per sample."""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


@_dash_for_none
def bound(value: float) -> str:
    """A bound of an interval, with fewer digits than the figure itself."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


@_dash_for_none
def difference(value: float) -> str:
    """A difference in bits per sample, with its sign."""
    return f"{value:+.3f}".replace("-", MINUS)


@_dash_for_none
def ratio(value: float) -> str:
    """Compressed over raw bits."""
    return f"{value:.1%}"


def share(value: float) -> str:
    """The absolute value of a fraction as a percentage of two digits: 31%, 3.1%, 0.31%."""
    percent = abs(100 * value)
    digits = 0 if percent >= 9.95 else 1 if percent >= 0.995 else 2
    return f"{percent:,.{digits}f}%"


def seconds(value: float) -> str:
    """A time in seconds."""
    return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"


def setting(value: Any) -> str:
    """A setting, any JSON value, on one line."""
    if value is None:
        return NOTHING
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(map(printable, value))
    return printable(value if isinstance(value, str) else json.dumps(value))


def aligned(rows: Sequence[Sequence[str]], *, left: int = 1) -> list[str]:
    """Returns rows as lines of aligned columns: the first `left` columns left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if i < left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
