"""Metrics as lines of JSON, in a file that can be rewound."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """How far a file was written, and a digest of it up to there."""

    size: int
    digest: str


class JsonlWriter:
    """Appends one JSON object a line: `{"step": 100, "train/loss": 3.1}`.

    A line is one write to the file, so that a killed run leaves whole lines. JSON has no NaN and no
    infinity: they are the strings "NaN", "Infinity" and "-Infinity", which `float()` reads back.
    """

    def __init__(
        self, path: str | os.PathLike[str], takes: Callable[[str], bool] = lambda name: True
    ) -> None:
        """Opens a file to append to.

        Args:
          path: the file; made if missing.
          takes: which metrics to write, by their names; where none is left there is no line.
        """
        self._file = open(path, "a+b", buffering=0)  # noqa: SIM115
        self._takes = takes
        self.path = os.fspath(path)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends a line. Raises OSError, with no part of the line left behind."""
        taken = {name: _json_number(x) for name, x in metrics.items() if self._takes(name)}
        if not taken:
            return
        line = json.dumps({"step": int(step), **taken}, allow_nan=False).encode() + b"\n"
        end = os.fstat(self._file.fileno()).st_size
        if self._file.write(line) != len(line):
            self._file.truncate(end)  # or the next line would continue this torn one
            raise OSError(f"{self._file.name}: only part of a line could be written: disk full?")

    def position(self) -> Position:
        """Returns where the next line goes, once all before it is on the disk."""
        os.fsync(self._file.fileno())
        size = os.fstat(self._file.fileno()).st_size
        return Position(size, self._digest(size))

    def rewind(self, position: Position) -> None:
        """Drops what was written behind a position. Raises ValueError if the file is another's."""
        if self._digest(position.size) != position.digest:
            raise ValueError(f"{self._file.name} is not the file of this run any more")
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
