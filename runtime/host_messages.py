"""Messages between hosts: JSON values, with NumPy arrays anywhere among them."""

import json
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

_PIECE_BYTES = 2**26  # Bounds the device memory that a broadcast takes.
_ARRAY = "__array__"


def encode(value: Any) -> bytes:
    """Returns a value as bytes: the length of its JSON, the JSON, and the content of its arrays.

    Raises:
      TypeError: something in it is neither a JSON value nor an array.
    """
    arrays: list[bytes] = []

    def describe(array: Any) -> dict:
        if not isinstance(array, np.ndarray):
            raise TypeError(f"expected JSON values and NumPy arrays, got {type(array).__name__}")
        arrays.append(array.tobytes())
        return {_ARRAY: [array.dtype.name, array.shape]}

    text = json.dumps(value, default=describe).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, *arrays])


def decode(content: bytes) -> Any:
    """Inverse of `encode`, but tuples become lists, keys strings, and arrays are read-only."""
    offset = 8 + int.from_bytes(content[:8], "little")

    def restore(found: dict) -> Any:  # Called in the same order as `describe`.
        nonlocal offset
        if found.keys() != {_ARRAY}:
            return found
        dtype, shape = found[_ARRAY]
        array = np.frombuffer(content, dtype, int(np.prod(shape)), offset).reshape(shape)
        offset += array.nbytes
        return array

    return json.loads(content[8:offset], object_hook=restore)


def broadcast(content: bytes, is_source: bool) -> bytes:
    """Returns the content of one host, the source, on all; that of the others is ignored."""

    def send(array: np.ndarray) -> np.ndarray:
        return np.asarray(multihost_utils.broadcast_one_to_all(array, is_source))

    pieces, rest = divmod(len(content), _PIECE_BYTES)
    pieces, rest = send(np.array([pieces, rest], np.int32)).tolist()
    sent = []
    for number, size in enumerate([_PIECE_BYTES] * pieces + [rest]):
        piece = np.zeros(size, np.uint8)
        if is_source:
            piece = np.frombuffer(content, np.uint8, size, number * _PIECE_BYTES)
        sent.append(send(piece).astype(np.uint8).tobytes())  # JAX 0.5 widens.
    return b"".join(sent)


def all_gather(content: bytes) -> list[bytes]:
    """Returns the contents of all hosts, by `jax.process_index`, on all of them."""
    sizes = multihost_utils.process_allgather(np.int32(len(content))).tolist()
    padded = np.zeros(max(sizes), np.uint8)  # Gathered arrays must be of one shape.
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(padded)).astype(np.uint8)
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]
