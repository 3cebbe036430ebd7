"""What a scan found out about files, kept in a file so that unchanged ones are not read again.

The cache is an .npz: one array for each numeric column, and the texts joined by NUL bytes, which
neither a path nor a remark contains.
"""

import io
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from pipeline import filesystem

_VERSION = 2


class Scanned(NamedTuple):
    """A scanned file, see `catalogue.Catalogue`. An encoding of -1 says that it cannot be used."""

    size: int = -1
    mtime_ns: int = -1
    offset: int = 0
    frames: int = 0
    channels: int = 0
    rate: int = 0
    encoding: int = -1
    remark: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether its samples can be read."""
        return self.encoding >= 0

    @property
    def is_lasting(self) -> bool:
        """Whether this holds for as long as the file does not change."""
        return self.size >= 0


_NUMBERS = Scanned._fields[:-1]


def load(path: str) -> dict[str, Scanned]:
    """The scanned files by path; empty if there is no cache, or none that can be used."""
    try:
        with np.load(io.BytesIO(filesystem.read_bytes(path)), allow_pickle=False) as arrays:
            if arrays["version"] != _VERSION:
                return {}
            columns = [arrays[name].tolist() for name in _NUMBERS]
            paths = _split(arrays["paths"])
            remarks = _split(arrays["remarks"])
        rows = zip(*columns, remarks, strict=True)
        return dict(zip(paths, itertools.starmap(Scanned, rows), strict=True))
    except Exception:  # a damaged .npz fails in a dozen ways, and the remedy is always the same
        return {}


def save(path: str, scans: dict[str, Scanned]) -> None:
    """Replaces the cache. Raises OSError."""
    columns: dict[str, Any] = {
        name: np.array([getattr(scanned, name) for scanned in scans.values()], np.int64)
        for name in _NUMBERS
    }
    buffer = io.BytesIO()
    np.savez(
        buffer,
        version=np.array(_VERSION),
        paths=_join(scans),
        remarks=_join(scanned.remark for scanned in scans.values()),
        **columns,
    )
    filesystem.write_bytes_atomically(path, buffer.getvalue())


def _join(texts: Iterable[str]) -> np.ndarray:
    joined = "\0".join(texts).encode("utf-8", "surrogateescape")
    return np.frombuffer(joined, np.uint8)


def _split(joined: np.ndarray) -> list[str]:
    return joined.tobytes().decode("utf-8", "surrogateescape").split("\0")
