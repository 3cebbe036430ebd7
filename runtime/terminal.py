"""Colour and bars where a person reads along on a terminal; plain text everywhere else."""

import os
from typing import Literal, TextIO

FALLBACK_COLUMNS = 80
"""The width of a terminal that says 0, as some in containers and editors do."""

_CODES = {"bold": "1", "red": "1;31", "yellow": "33"}


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that can rewrite its lines (not TERM=dumb, not in CI)."""
    return (
        stream is not None
        and stream.isatty()
        and os.environ.get("TERM") != "dumb"
        and not os.environ.get("CI")
    )


def styled(text: str, style: Literal["bold", "red", "yellow"], stream: TextIO | None) -> str:
    """Returns a text as it is written to a stream: in a style on terminals (https://no-color.org).

    Bold is what to look at first, yellow a warning, red an error.
    """
    if not text or os.environ.get("NO_COLOR") or not is_terminal(stream):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def emphasize_marked(text: str, stream: TextIO | None) -> str:
    """Returns a table whose lines that begin with "> " are bold on terminals."""
    return "\n".join(
        styled(line, "bold", stream) if line.startswith("> ") else line for line in text.split("\n")
    )
