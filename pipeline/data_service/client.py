"""Batches that other machines read: the trainer's side of the tf.data service.

The service assigns each shuffle window to one worker, once, and guarantees no more: batches arrive
in any order, and those of a worker that died never arrive. But batch k is a pure function of the
corpus and k, so the trainer need not rely on the service: batches carry their number, are put in
order by a `ReorderBuffer`, and a missing one is read locally.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.data_service.reorder_buffer import ReorderBuffer, Stream
from pipeline.dataset import batch_files, make_dataset
from pipeline.iterate import NumpyBatch, iterate
from pipeline.reading.byte_ranges import OnUnreadable
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import UNREADABLE
from pipeline.reading.read_plan import file_columns
from runtime.errors import DataError

_MAX_HELD_BYTES = 2**30  # Batches that arrived early.
_SECONDS_BETWEEN_CONNECTIONS = 60.0
_MAX_COLUMN_BYTES = 2_000_000_000  # They are constants of the graph; TensorFlow aborts at 2^31.

_service = tf.data.experimental.service


def distributed_batches(
    chunks: Chunks,
    *,
    service: str,
    first_step: int = 0,
    rows: tuple[int, int] | None = None,
    on_unreadable: OnUnreadable = lambda path, reason: None,
    timeout_s: float = 30.0,
    max_column_bytes: int = _MAX_COLUMN_BYTES,
    **reading: Any,
) -> Iterator[NumpyBatch]:
    """Streams the batches of `make_dataset`, read by the workers of a tf.data service.

    The batches are the same, in the same order, whatever happens to the service.

    Args:
      chunks: what to read. The workers must find the files under the same paths, unchanged.
      service: address of the dispatcher, grpc://host:port.
      first_step: k of the first batch.
      rows: see `make_dataset`.
      on_unreadable: called with the path of a file that can no longer be read, and the reason;
        for a file that a worker could not read, the reason is in the worker's log only.
      timeout_s: seconds to wait for one batch before it is read locally.
      max_column_bytes: limit on the size of the file table, which is sent within the graph.
      **reading: further arguments of `make_dataset`, except `one_pass` and `shuffle`.

    Raises:
      DataError: the table of the files exceeds `max_column_bytes`.
    """
    config = chunks.config
    columns = file_columns(chunks).values()
    column_bytes = sum(column.nbytes for column in columns)
    if column_bytes > max_column_bytes:
        raise DataError(
            f"the catalogue of {len(chunks.catalogue):,} files is {column_bytes:,} bytes, and no "
            f"more than {max_column_bytes:,} can be sent to an input service: expected fewer "
            "files, shorter paths, or no --data_service"
        )
    first_row, last_row = rows = rows or (0, config.batch_size)
    batch_bytes = (last_row - first_row) * config.chunk_size * config.depth // 8

    def dataset(step: int, **options: Any) -> tf.data.Dataset:
        return make_dataset(chunks, first_step=step, rows=rows, **reading, **options)

    def read_remotely(step: int) -> tf.data.Dataset:
        # DYNAMIC: each window goes to the first worker that is free. Compression would cost more
        # time than sending the audio as it is.
        return dataset(step, numbered=True, on_unreadable=None).apply(
            _service.distribute(_service.ShardingPolicy.DYNAMIC, service, compression=None)
        )

    def read_locally(step: int) -> Iterator[NumpyBatch]:
        return iterate(dataset(step, on_unreadable=on_unreadable))

    def report_unreadable(step: int, batch: NumpyBatch) -> None:
        unreadable = first_row + np.flatnonzero(batch["stop"] == UNREADABLE)
        if unreadable.size:
            for path in batch_files(chunks, step, unreadable):
                on_unreadable(path, "the input service could not read it: see the worker's log")

    return ReorderBuffer(
        lambda step: Stream(lambda: read_remotely(step)),
        read_locally,
        first_step,
        max_held=max(4 * config.window, _MAX_HELD_BYTES // batch_bytes),
        max_lag=config.window,
        timeout_s=timeout_s,
        seconds_between_connections=_SECONDS_BETWEEN_CONNECTIONS,
        on_received=report_unreadable,
    )
