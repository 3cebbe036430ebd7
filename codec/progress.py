"""How far a file is."""

from collections.abc import Callable

Progress = Callable[[int, int, float], None]
"""(bytes that were read, bytes that have become of them, seconds of audio in them)."""


def no_progress(read: int, made: int, seconds: float) -> None:
    """A `Progress` that tells nobody."""


class BlockProgress:
    """Tells a `Progress` of a block while it is coded, and of the rest at its end."""

    def __init__(self, progress: Progress) -> None:
        """Begins."""
        self._progress = progress
        self._read = self._made = 0
        self._seconds = 0.0

    def add(self, read: int, made: int, seconds: float) -> None:
        """Tells of a part, as far as is known."""
        self._read, self._made = self._read + read, self._made + made
        self._seconds += seconds
        self._progress(read, made, seconds)

    def end(self, read: int, made: int, seconds: float) -> None:
        """Tells what there is of the whole beyond its parts."""
        self._progress(read - self._read, made - self._made, seconds - self._seconds)


Report = Callable[[str], None]
"""Is told, in words, of what a user should know."""


def no_report(text: str) -> None:
    """A `Report` that tells nobody."""
