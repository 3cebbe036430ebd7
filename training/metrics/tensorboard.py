"""Metrics as event files for TensorBoard."""

import os
from collections.abc import Mapping


class TensorBoardWriter:
    """Writes event files; TensorBoard itself need not be installed."""

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        """Opens a new event file in a folder, which is created if missing."""
        import tensorflow as tf

        self._tf = tf
        self._writer = tf.summary.create_file_writer(os.fspath(directory))
        # tf.summary.scalar imports the package tensorboard, which TensorFlow 2.21 no longer
        # installs. A scalar is a float32 tensor, marked with the name of that plugin.
        self._scalar = tf.compat.v1.SummaryMetadata()
        self._scalar.plugin_data.plugin_name = "scalars"

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes one scalar per metric."""
        with self._writer.as_default(step=step):
            for name, value in metrics.items():
                scalar = self._tf.constant(float(value), self._tf.float32)
                self._tf.summary.write(name, scalar, metadata=self._scalar)
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()
