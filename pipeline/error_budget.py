"""How many files may fail before a run ends."""

import logging
from collections.abc import Iterable, Sequence

from pipeline.catalogue.catalogue import Skipped
from pipeline.corpus import describe_skipped

logger = logging.getLogger("wavestream")


class ErrorBudget:
    """Counts the files that cannot be used, from the beginning or any more, and names each once."""

    def __init__(
        self, num_files: int, skipped: Sequence[Skipped], *, strict: bool, max_fraction: float
    ) -> None:
        """Begins with the files that the catalogue has skipped, and tells of them.

        Args:
          num_files: how many were found, these among them.
          skipped: those that cannot be used.
          strict: one is too many.
          max_fraction: more than this share of all files is too many.
        """
        self._num_files, self._strict, self._max_fraction = num_files, strict, max_fraction
        self._skipped = dict(skipped)
        if skipped:
            logger.warning(
                "%d of %d files skipped: %s", len(skipped), num_files, describe_skipped(skipped)
            )

    def __len__(self) -> int:
        return len(self._skipped)

    def add(self, path: str, reason: str) -> None:
        """Takes one failed read; called from the threads of the graph."""
        if path not in self._skipped:
            self._skipped[path] = reason
            logger.warning("%r cannot be read any more and is left out: %s", path, reason)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """Returns the files that cannot be used, in the order they were found out."""
        return tuple(Skipped(*item) for item in list(self._skipped.items()))

    def merge(self, skipped: Iterable[Skipped]) -> None:
        """Counts the files that another host could not use."""
        self._skipped.update(dict(skipped))

    def exceeded(self) -> str | None:
        """Returns why the run must end; None where it need not."""
        if not self._skipped:
            return None
        if self._strict:
            path, reason = self.skipped[0]
            return f"{path!r} cannot be used ({reason}), and --strict lets none be skipped"
        if len(self._skipped) > self._max_fraction * self._num_files:
            return (
                f"{len(self._skipped)} of {self._num_files} files cannot be used, more than "
                f"--max_skipped_fraction={self._max_fraction:g}: " + describe_skipped(self.skipped)
            )
        return None
