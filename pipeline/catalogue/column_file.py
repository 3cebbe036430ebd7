"""A file of named columns, loaded as fast as it can be read, and in no more memory than it takes.

    a preamble: magic, length and CRC-32 of the header
    the header, JSON
    the columns, each at a multiple of 64 bytes, as NumPy has them in memory

Why not .npz: from a bucket it needs a second copy in memory and is read in one stream. Here many
threads read straight into the memory that the columns stay in, aligned so that TensorFlow can share
it.
"""

import json
import mmap
import struct
import zlib
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import numpy as np

from runtime import atomic_files, filesystem

_PREAMBLE = struct.Struct("<24sII")
_MAGIC = b"wavestream columns 2".ljust(24)
_BLOCK_BYTES = 2**22
_INTEGER_DTYPES = [np.dtype(letter) for letter in "BbHhIil"]  # narrowest first
_THREADS = 32  # hide the latency of a bucket

ALIGNMENT = 64
"""In bytes: TensorFlow shares memory that begins at a multiple of this, and copies other memory."""


class ColumnFileError(ValueError):
    """A file has another format or is damaged. Callers catch it and name the file."""


def save(path: str, metadata: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    """Writes one-dimensional columns and JSON metadata to a file, which is replaced as a whole.

    Raises:
      OSError: it cannot be written.
    """
    atomic_files.write_atomically(path, _file_blocks(metadata, columns))


def load(path: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Returns the metadata and the columns that `save` wrote.

    Raises:
      OSError: the file cannot be read.
      ColumnFileError: it has another format or is damaged.
    """
    with filesystem.open_for_reads(path) as read_at:
        preamble = read_at(0, _PREAMBLE.size)
        if len(preamble) < _PREAMBLE.size or not preamble.startswith(_MAGIC):
            raise ColumnFileError("it is not a file of columns, or is one of another version")
        _, length, checksum = _PREAMBLE.unpack(preamble)
        header = read_at(_PREAMBLE.size, length)
    if zlib.crc32(header) != checksum:
        raise ColumnFileError("its header is damaged")
    contents = json.loads(header)
    begin = _aligned(_PREAMBLE.size + length)
    content = allocate(contents["bytes"], np.dtype(np.uint8))

    def read_block(start: int) -> None:
        part = content[start : start + _BLOCK_BYTES]
        with filesystem.open_for_reads(path) as read_at:
            content_part = read_at(begin + start, len(part))
        if len(content_part) < len(part):
            raise ColumnFileError("it is truncated")
        part[:] = np.frombuffer(content_part, np.uint8)

    def view(column: dict[str, Any]) -> tuple[str, np.ndarray]:
        array = np.frombuffer(content, column["dtype"], column["count"], column["offset"])
        if zlib.crc32(_bytes(array)) != column["crc32"]:
            raise ColumnFileError(f"its column {column['name']} is damaged")
        return column["name"], array

    with futures.ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(read_block, range(0, len(content), _BLOCK_BYTES)):
            pass
        return contents["metadata"], dict(pool.map(view, contents["columns"]))


def allocate(count: int, dtype: np.dtype) -> np.ndarray:
    """Returns `count` zeros whose memory TensorFlow can share; NumPy itself aligns to 16 bytes."""
    return np.frombuffer(mmap.mmap(-1, max(1, count * dtype.itemsize)), dtype, count)


def downcast(column: np.ndarray) -> np.ndarray:
    """Returns integers in the narrowest type that holds them all."""
    low, high = (int(column.min()), int(column.max())) if len(column) else (0, 0)
    limits = map(np.iinfo, _INTEGER_DTYPES)
    return column.astype(next(it.dtype for it in limits if it.min <= low and high <= it.max))


def _file_blocks(
    metadata: Mapping[str, Any], columns: Mapping[str, np.ndarray]
) -> Iterator[bytes | memoryview]:
    """Yields the bytes of the file, block by block: a copy of the whole may not fit in memory."""
    end = 0
    described: list[dict[str, Any]] = []
    for name, column in columns.items():
        offset = _aligned(end)
        end = offset + column.nbytes
        described.append(
            {
                "name": name,
                "dtype": column.dtype.str,
                "count": len(column),
                "offset": offset,
                "crc32": zlib.crc32(_bytes(column)),
            }
        )
    header = json.dumps({"metadata": metadata, "bytes": end, "columns": described}).encode()
    yield _PREAMBLE.pack(_MAGIC, len(header), zlib.crc32(header))
    yield header
    length = _PREAMBLE.size + len(header)  # since the last aligned byte
    for column in columns.values():
        yield bytes(_aligned(length) - length)
        content = _bytes(column)
        for start in range(0, len(content), _BLOCK_BYTES):
            yield content[start : start + _BLOCK_BYTES]
        length = len(content)


def _bytes(column: np.ndarray) -> memoryview:
    return np.ascontiguousarray(column).view(np.uint8).data


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT
