"""How many files may fail before a run ends."""

from collections.abc import Iterable, Sequence

from pipeline.catalogue.catalogue import Skipped
from pipeline.corpus import describe_skipped
from runtime.logging import logger


class ErrorBudget:
    """Counts and logs the files skipped by the scan and later; `exceeded` if there are too many."""

    def __init__(
        self,
        num_files: int,
        skipped: Sequence[Skipped],
        *,
        strict: bool,
        max_fraction: float,
        is_listed: bool = False,
    ) -> None:
        """Counts and logs the files that the scan has skipped.

        Args:
          num_files: files found, including those skipped.
          skipped: the files that the scan skipped.
          strict: a single skipped file exceeds the budget.
          max_fraction: the largest fraction of files, 0 to 1, that may be skipped.
          is_listed: the log names those that the scan has skipped already.
        """
        self._num_files, self._strict, self._max_fraction = num_files, strict, max_fraction
        self._skipped = dict(skipped)
        if skipped:
            names = ", see above" if is_listed else f": {describe_skipped(skipped)}"
            logger.warning("%d of %d files skipped%s", len(skipped), num_files, names)

    def __len__(self) -> int:
        return len(self._skipped)

    def add(self, path: str, reason: str) -> None:
        """Counts a file that could not be read; called from threads of the graph."""
        if path not in self._skipped:
            self._skipped[path] = reason
            logger.warning("%r skipped, it can no longer be read: %s", path, reason)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The skipped files, in the order in which they were found."""
        # list() copies atomically: threads of the graph add files meanwhile.
        return tuple(Skipped(*item) for item in list(self._skipped.items()))

    def merge(self, skipped: Iterable[Skipped]) -> None:
        """Counts the files that another host has skipped."""
        self._skipped.update(dict(skipped))

    def exceeded(self) -> str | None:
        """Returns why the run must end; None within the budget."""
        if not self._skipped:
            return None
        if self._strict:
            path, reason = self.skipped[0]
            return f"{path!r} cannot be used ({reason}), and --strict allows no skipped file"
        if len(self._skipped) > self._max_fraction * self._num_files:
            return (
                f"{len(self._skipped)} of {self._num_files} files cannot be used, more than "
                f"--max_skipped_fraction={self._max_fraction:g}: " + describe_skipped(self.skipped)
            )
        return None
