"""Many short strings in little memory: one array of bytes in place of a Python object each.

N strings.
"""

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, overload

import numpy as np

from pipeline.catalogue.column_file import downcast

_BLOCK = 2**16  # strings decoded at a time, to bound the Python integers alive


class StringArray(Sequence[str]):
    """An immutable sequence of strings, such as paths, as `os.fsdecode` returns them.

    Attributes:
      blob: uint8, their bytes as the disk has them: UTF-8, or others by "surrogateescape".
      starts: integers [N], where each string begins in the blob, in bytes.
      ends: integers [N], where it ends.
    """

    def __init__(self, blob: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        """Takes the arrays without a copy."""
        self.blob, self.starts, self.ends = blob, starts, ends

    @classmethod
    def from_strings(cls, strings: Iterable[str]) -> Self:
        """Copies strings into one array."""
        blob, bounds = join(strings)
        return cls(blob, bounds[:-1], bounds[1:])

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int | np.integer) -> str: ...

    @overload
    def __getitem__(self, index: slice | np.ndarray) -> "StringArray": ...

    def __getitem__(self, index: int | np.integer | slice | np.ndarray) -> "str | StringArray":
        """Returns one string, or some of them without a copy of their bytes."""
        if isinstance(index, slice | np.ndarray):
            return StringArray(self.blob, self.starts[index], self.ends[index])
        return _decode(self.blob[int(self.starts[index]) : int(self.ends[index])].tobytes())

    def __iter__(self) -> Iterator[str]:
        return map(_decode, self.encoded())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def encoded(self) -> Iterator[bytes]:
        """Yields the bytes of each string."""
        content = self.blob.data
        for block in range(0, len(self), _BLOCK):
            part = slice(block, block + _BLOCK)
            starts, ends = self.starts[part].tolist(), self.ends[part].tolist()
            yield from (content[a:b].tobytes() for a, b in zip(starts, ends, strict=True))

    def lengths(self) -> np.ndarray:  # integers [N]
        """Returns the length of each string in bytes."""
        return self.ends - self.starts


def join(strings: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:  # uint8, integers [N + 1]
    """Returns the concatenated bytes, and where each string begins; last, where the last ends."""
    blob = bytearray()
    bounds = array("q", [0])
    for string in strings:
        blob += string.encode("utf-8", "surrogateescape")
        bounds.append(len(blob))
    return np.frombuffer(bytes(blob), np.uint8), downcast(np.frombuffer(bounds, np.int64))


def _decode(content: bytes) -> str:
    return os.fsdecode(content)
