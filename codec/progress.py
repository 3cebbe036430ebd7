"""How far a file is."""

from collections.abc import Callable

Progress = Callable[[int, int, float], None]
"""(bytes that were read, bytes that have become of them, seconds of audio in them)."""


def no_progress(read: int, made: int, seconds: float) -> None:
    """A `Progress` that tells nobody."""


Report = Callable[[str], None]
"""Is told, in words, of what a user should know."""


def no_report(text: str) -> None:
    """A `Report` that tells nobody."""
