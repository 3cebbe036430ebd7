"""Metrics as event files for TensorBoard.

An event file is a sequence of records, as in TFRecord files: length, checksum of the length, an
`Event`, checksum of that. TensorFlow's own writer leaves a partial record on a full disk, behind
which nothing can be read; here a record is whole, or written later.
"""

import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from runtime.appended_file import AppendedFile


class TensorBoardWriter:
    """Writes event files; TensorBoard itself need not be installed."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Opens a new event file in a folder, which is created if missing. Raises OSError."""
        import tensorflow as tf

        self._tf = tf
        os.makedirs(directory, exist_ok=True)
        # TensorBoard looks for "tfevents" in the name, and reads the files by their times.
        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}.v2"
        self._file = AppendedFile(os.path.join(directory, name))
        # A scalar is a float32 tensor, marked with the name of its plugin.
        self._scalar = tf.compat.v1.SummaryMetadata()
        self._scalar.plugin_data.plugin_name = "scalars"
        self._append(file_version="brain.Event:2")

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one scalar per metric. Raises OSError if they must wait."""
        tf = self._tf
        values = [
            tf.compat.v1.Summary.Value(
                tag=name, metadata=self._scalar, tensor=tf.make_tensor_proto(np.float32(value))
            )
            for name, value in metrics.items()
        ]
        self._append(step=int(step), summary=tf.compat.v1.Summary(value=values))

    def close(self) -> None:
        """Closes the event file. Raises OSError if events that wait are lost."""
        self._file.close()

    def _append(self, **fields: Any) -> None:
        event = self._tf.compat.v1.Event(wall_time=time.time(), **fields).SerializeToString()
        length = struct.pack("<Q", len(event))
        self._file.append(length + _checksum(length) + event + _checksum(event))


def _make_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (value & 1) * 0x82F63B78  # The polynomial of CRC-32C, reflected.
        table.append(value)
    return table


_TABLE = _make_table()


def _checksum(content: bytes) -> bytes:
    """Returns the masked CRC-32C that TFRecord files have (tensorflow/core/lib/hash/crc32c.h)."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
