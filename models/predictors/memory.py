"""Where the state of compiled predictors lies: records of numbers, and vectors in two arrays.

numba counts references to every array that a function takes or a tuple holds, which costs more than
a short filter does. So a predictor is a record (for numba: a pointer) with its numbers and the
offsets of its vectors, and all vectors lie behind each other in one array of float64 and one of
float32.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from models.predictors.compile import inlined, jit
from models.predictors.lanes import as_matrix

SLACK = 4096
"""Samples between two moves of a history."""


class Memory(NamedTuple):
    """Vectors of all predictors.

    Attributes:
      doubles: float64.
      singles: float32.
    """

    doubles: np.ndarray
    singles: np.ndarray


class Allocator:
    """Lays out vectors before there is memory for them."""

    def __init__(self) -> None:
        self._sizes = {"doubles": 0, "singles": 0}

    def doubles(self, size: int) -> int:
        """Returns the offset of `size` float64."""
        return self._reserve("doubles", size)

    def singles(self, size: int) -> int:
        """Returns the offset of `size` float32."""
        return self._reserve("singles", size)

    def allocate(self) -> Memory:
        """Returns zeros for everything that was laid out."""
        return Memory(
            np.zeros(self._sizes["doubles"]), np.zeros(self._sizes["singles"], np.float32)
        )

    def _reserve(self, kind: str, size: int) -> int:
        offset = self._sizes[kind]
        self._sizes[kind] = offset + size
        return offset


def make_records(dtype: np.dtype, values: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Returns an array of records, [len(values)]; fields that are not given are zero."""
    records = np.zeros(len(values), dtype)
    for record, fields in zip(records, values, strict=True):
        for name, value in fields.items():
            record[name] = value
    return records


@inlined
def square_matrix(doubles: np.ndarray, at: int, width: int) -> np.ndarray:
    """Returns a view of the matrix [width, width] that lies at an offset."""
    return as_matrix(doubles[at : at + width * width], width)


HISTORY = np.dtype([("size", np.int64), ("at", np.int64), ("start", np.int64)], align=True)
"""The newest samples of a signal, newest first and without a seam: a window that slides over a
longer vector, from `at` on. The newest one lies at `start`."""


def history_fields(allocator: Allocator, size: int) -> dict[str, int]:
    """Returns the fields of a history of `size` zeros."""
    at = allocator.doubles(size + SLACK)
    return {"size": size, "at": at, "start": at + SLACK}


@jit
def push(history: Any, doubles: np.ndarray, sample: float) -> None:
    """Adds the newest sample, and forgets the oldest."""
    start = history.start
    if start == history.at:
        move_to_end(doubles, start, history.size)
        start += SLACK
    start -= 1
    doubles[start] = sample
    history.start = start


@jit
def move_to_end(values: np.ndarray, at: int, size: int) -> None:
    """Moves a window by SLACK."""
    # From its end: where it is longer than the slack, the two overlap.
    for i in range(size - 1, -1, -1):
        values[at + SLACK + i] = values[at + i]
