"""Text for people: durations, counts, rows of label and value."""

import math
from collections.abc import Sequence

_RULE_WIDTH = 80  # At most: a path may be much longer than a terminal is wide.


def format_duration(seconds: float) -> str:
    """Rounds a duration: 4.2 hours, 12.0 minutes, 3.25 seconds."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.2f} seconds"


def format_time(seconds: float) -> str:
    """Returns hours, minutes and seconds: 0:01:05, 30:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def format_timestamp(seconds: float) -> str:
    """Returns a point in audio, in hours, minutes, seconds and milliseconds: 0:01:05.250."""
    minutes, milliseconds = divmod(round(1000 * seconds), 60_000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{minutes // 60}:{minutes % 60:02}:{whole:02}.{rest:03}"


def format_count(value: float) -> str:
    """Returns three digits and a unit: 950, 1.23k, 45.6M."""
    for unit in ("", "k", "M"):
        if not 999.5 <= abs(value) < math.inf:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}G"


def format_number(number: int, noun: str) -> str:
    """Returns a number and its noun: 1 file, 1,200 files."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def format_row(label: str, value: str, width: int = 16) -> str:
    """Returns a line of label and value; the values of all such lines are aligned."""
    return f"{label:<{width}} {value}"


def format_table(rows: Sequence[tuple[str, str]]) -> str:
    """Returns rows of label and value as lines between two rules."""
    width = max(len(label) for label, _ in rows) + 1
    lines = [format_row(label, value, width) for label, value in rows]
    rule = "-" * min(max(map(len, lines)), _RULE_WIDTH)
    return "\n".join([rule, *lines, rule])
