"""Metrics as lines of JSON, in a file that can be rewound."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """The size of a file in bytes, and a digest of its content up to there."""

    size: int
    digest: str


class JsonlWriter:
    """Appends one JSON object a line: `{"step": 100, "train/loss": 3.1}`.

    A line is a single write, so that a killed run leaves whole lines. JSON has neither NaN nor
    infinity: they are written as the strings "NaN", "Infinity" and "-Infinity", which `float()`
    reads back.
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
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._is_included = is_included
        self.path = os.fspath(path)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line, unless it would be empty. Raises OSError, without a partial line."""
        included = {k: _json_number(x) for k, x in metrics.items() if self._is_included(k)}
        if not included:
            return
        line = json.dumps({"step": int(step), **included}, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        if self._file.write(line) != len(line):
            self._file.truncate(end)  # Else the next line would continue this partial one.
            raise OSError(f"{self._file.name}: only part of a line could be written: disk full?")

    def position(self) -> Position:
        """Flushes the file to disk, and returns its end."""
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        return Position(size, self._digest(size))

    def rewind(self, position: Position) -> None:
        """Truncates the file to a position. Raises ValueError if it has another content there."""
        if self._digest(position.size) != position.digest:
            raise ValueError(f"{self._file.name} was changed by someone else")
        self._file.truncate(position.size)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _digest(self, size: int) -> str:
        content = os.pread(self._file.fileno(), size, 0)
        return hashlib.blake2b(content, digest_size=16).hexdigest()


def _json_number(value: float) -> float | str:
    value = float(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
