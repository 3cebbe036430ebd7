"""Metrics as lines of JSON, in a file that can be rewound."""

import json
import math
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from runtime.appended_file import AppendedFile


class Position(NamedTuple):
    """The size of a file in bytes, and a digest of its content up to there."""

    size: int
    digest: str


class JsonlWriter:
    """Appends one JSON object a line: `{"step": 100, "train/loss": 3.1}`.

    A line is a single write, so that a killed run leaves whole lines; one that cannot be written is
    written later. JSON has neither NaN nor infinity: they are written as the strings "NaN",
    "Infinity" and "-Infinity", which `float()` reads back.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        is_included: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """Opens a file to append to.

        Args:
          path: the file; created if missing.
          is_included: from the name of a metric to whether to write it.
        """
        self._file = AppendedFile(path)
        self._is_included = is_included
        self.path = os.fspath(path)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line, unless it would be empty. Raises OSError if it must wait."""
        included = {k: _json_number(x) for k, x in metrics.items() if self._is_included(k)}
        if not included:
            return
        line = json.dumps({"step": int(step), **included}, allow_nan=False)
        self._file.append(f"{line}\n".encode())

    def position(self) -> Position:
        """Flushes the file to disk, and returns its end. Raises OSError if a line must wait."""
        return Position(*self._file.position())

    def rewind(self, position: Position) -> None:
        """Truncates the file to a position. Raises ValueError if it has another content there."""
        self._file.truncate(*position)

    def close(self) -> None:
        """Closes the file. Raises OSError if lines that wait are lost."""
        self._file.close()


def _json_number(value: float) -> float | str:
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
