"""How a figure reads: from its path in the dict of figures to the text that is shown."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from evaluation.report.figures import Figures

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"  # as wide as a plus


class Shown(NamedTuple):
    """A figure to be shown: its path in the dict, such as "codecs.0.ratio", and how it reads."""

    path: str
    kind: str = "rate"


Text = list[str | Shown]
"""A text with figures in it."""


def find(figures: Figures, path: str) -> Any:
    """Returns the value at a path. Raises KeyError or IndexError where there is none.

    Names may hold dots themselves, as those of settings do: the longest that fits is taken.
    """
    value: Any = figures
    parts = path.split(".")
    while parts:
        if isinstance(value, list):
            value = value[int(parts.pop(0))]
            continue
        names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        name = next((name for name in names if value and name in value), None)
        if name is None:
            raise KeyError(f"{path}: there is no such figure")
        value, parts = value[name], parts[name.count(".") + 1 :]
    return value


def show(figures: Figures, shown: Shown) -> str:
    """Returns the text of a figure; a dash where it is None."""
    value = find(figures, shown.path)
    return NOTHING if value is None else _KINDS[shown.kind](value)


def plain(figures: Figures, text: Text) -> str:
    """Returns a text with its figures filled in."""
    return "".join(
        show(figures, part) if isinstance(part, Shown) else printable(part) for part in text
    )


def printable(text: str) -> str:
    """Returns a text that any file, terminal or browser shows as it is, on one line.

    File names may hold line feeds, half of a surrogate pair (a byte that is not UTF-8), or marks
    that turn the direction of what follows: such are shown as Python writes them.
    """
    return "".join(
        character if character.isprintable() else repr(character)[1:-1] for character in text
    )


def setting(value: Any) -> str:
    """Returns a setting, any JSON value, on one line."""
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(map(printable, value))
    return printable(value if isinstance(value, str) else json.dumps(value))


def _rate(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _bound(value: float) -> str:
    """The bound of an interval, less precise than what it is an interval of."""
    return f"{value:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _difference(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)


def _share(value: float) -> str:
    """The size of a share, to two digits: 31%, 3.1%, 0.31%; less is not worth telling."""
    percent = abs(100 * value)
    digits = 0 if percent >= 9.95 else 1 if percent >= 0.995 else 2
    return f"{percent:,.{digits}f}%"


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.1f} s"


_KINDS: dict[str, Callable[[Any], str]] = {
    "rate": _rate,
    "bound": _bound,
    "difference": _difference,
    "ratio": lambda value: f"{value:.1%}",
    "share": _share,
    "count": lambda value: f"{value:,}",
    "seconds": _seconds,
    "text": printable,
    "setting": setting,
}
