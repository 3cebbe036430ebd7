"""Batches that other machines read: the trainer's side of the tf.data service.

The service gives each window of batches to one worker, once, and promises no more: batches come in
any order, and those that a worker held when it died never come. But batch k is a pure function of
the corpus and k, so the trainer need not trust the service with anything: batches carry their
number, are put in order here, and one that does not come is read here.
"""

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.dataset import NumpyBatch, batch_files, iterate, make_dataset
from pipeline.reading.byte_ranges import OnUnreadable
from pipeline.reading.chunks import Chunks
from pipeline.reading.read_chunks import READS_TOKEN, UNREADABLE
from pipeline.reading.read_plan import file_columns
from runtime.errors import DataError

logger = logging.getLogger("wavestream")

_MAX_HELD_BYTES = 2**30  # Batches that came early and wait for their turn.
_SECONDS_BETWEEN_CONNECTIONS = 60.0
_MAX_COLUMN_BYTES = 2_000_000_000  # They travel in the graph; TensorFlow aborts at 2^31.

_service = tf.data.experimental.service


def distributed_batches(
    chunks: Chunks,
    *,
    service: str,
    first_step: int = 0,
    rows: tuple[int, int] | None = None,
    on_unreadable: OnUnreadable = lambda path, reason: None,
    patience: float = 30.0,
    max_column_bytes: int = _MAX_COLUMN_BYTES,
    **reading: Any,
) -> Iterator[NumpyBatch]:
    """Streams the batches of `make_dataset`, read by the workers of a tf.data service.

    The batches are the same, in the same order, whatever becomes of the service.

    Args:
      chunks: what to read. The workers must find the files under the same paths, unchanged.
      service: the dispatcher's address, grpc://host:port.
      first_step: k of the first batch.
      rows: see `make_dataset`.
      on_unreadable: called with the path of a file that cannot be read any more, and the reason,
        which of a file that a worker could not read is in the worker's log only.
      patience: seconds to wait for one batch before it is read here.
      max_column_bytes: what the files' paths, sizes and the like may take in a graph.
      **reading: further arguments of `make_dataset`, but for `one_pass` and `shuffle`.

    Raises:
      DataError: there are too many files for a graph that is sent to workers.
    """
    config = chunks.config
    columns = file_columns(chunks).values()
    column_bytes = sum(column.dtype.size * column.shape.num_elements() for column in columns)
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

    def read_there(step: int) -> tf.data.Dataset:
        # Windows go to whichever worker asks. Audio is not worth compressing on its way.
        return dataset(step, numbered=True, on_unreadable=None).apply(
            _service.distribute(_service.ShardingPolicy.DYNAMIC, service, compression=None)
        )

    def read_here(step: int) -> Iterator[NumpyBatch]:
        return iterate(dataset(step, on_unreadable=on_unreadable))

    def report_unreadable(step: int, batch: NumpyBatch) -> None:
        unreadable = first_row + np.flatnonzero(batch["stop"] == UNREADABLE)
        if unreadable.size:
            for path in batch_files(chunks, step, unreadable):
                on_unreadable(path, "the input service could not read it: see the worker's log")

    return ReorderBuffer(
        lambda step: Stream(lambda: read_there(step)),
        read_here,
        first_step,
        max_held=max(4 * config.window, _MAX_HELD_BYTES // batch_bytes),
        max_late=config.window,
        patience=patience,
        seconds_between_connections=_SECONDS_BETWEEN_CONNECTIONS,
        on_received=report_unreadable,
    )


class Stream:
    """What a tf.data service delivers, in the order it comes.

    Its iterator may block for ever where the service is gone, and nothing can wake it, so a thread
    of its own waits for it, which neither `stop` nor the end of the program waits for.
    """

    def __init__(self, make: Callable[[], tf.data.Dataset]) -> None:
        """Begins to read the dataset that `make` returns; that may block for ever, too."""
        self._make = make
        self._batches: queue.Queue[NumpyBatch | None] = queue.Queue(maxsize=2)
        self._stopped = False
        self.error: Exception | None = None
        """Why it has ended, once `get` has returned None for that."""
        threading.Thread(target=self._pull, daemon=True).start()

    def get(self, seconds: float) -> NumpyBatch | None:
        """Returns the next batch; None where none comes within that time, or ever."""
        try:
            return self._batches.get(timeout=seconds) if seconds else self._batches.get_nowait()
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Ends it with the next batch that comes, if one does."""
        self._stopped = True
        while self.get(0):  # Lets the thread put that batch, and see.
            pass

    def _pull(self) -> None:
        try:
            for batch in iterate(self._make()):
                if self._stopped:
                    return
                self._batches.put(batch)
        except Exception as error:  # Whatever it is, the trainer can read by itself.
            self.error = error
            self._batches.put(None)


class ReorderBuffer(Iterator[NumpyBatch]):
    """Puts numbered batches in order; reads those that do not come."""

    def __init__(
        self,
        read_there: Callable[[int], Stream],
        read_here: Callable[[int], Iterator[NumpyBatch]],
        first_step: int,
        *,
        max_held: int,
        max_late: int,
        patience: float,
        seconds_between_connections: float,
        on_received: Callable[[int, NumpyBatch], None] = lambda step, batch: None,
    ) -> None:
        """Connects.

        Args:
          read_there: from a step to the batches from there on: each with its `step`, in any order,
            some of them twice or never.
          read_here: from a step to all batches from there on, in order.
          first_step: of the first batch.
          max_held: batches to hold, at most, that came too early.
          max_late: batches that are this late are not worth waiting for the next ones.
          patience: seconds to wait for one batch.
          seconds_between_connections: to the service, after one that has failed.
          on_received: called with each step and batch that the service has delivered.
        """
        self._read_there, self._read_here, self._step = read_there, read_here, first_step
        self._max_held, self._max_late = max_held, max_late
        self._on_received, self._patience = on_received, patience
        self._seconds_between_connections = seconds_between_connections
        self._held: dict[int, NumpyBatch] = {}
        self._lost_below = first_step  # What has not come by now will not.
        self._here: Iterator[NumpyBatch] | None = None
        self._began_here = first_step
        self._lag = 0  # Batches that what came last was late.
        self._connect()

    def __next__(self) -> NumpyBatch:
        """Returns the next batch, wherever it comes from."""
        self._receive()
        batch = self._held.pop(self._step, None)
        if batch is not None:
            self._end_here()
            self._on_received(self._step, batch)
        else:
            if self._here is None:
                self._begin_here()
            assert self._here is not None
            batch = next(self._here)
            self._reconnect()
        self._step += 1
        return batch

    def _receive(self) -> None:
        """Takes what comes, until the next batch is there or waiting for it makes no sense."""
        hopeless = self._stream.error is not None or self._step < self._lost_below
        waits = self._here is None and not hopeless
        deadline = time.monotonic() + (self._patience if waits else 0)
        while self._step not in self._held and len(self._held) < self._max_held:
            batch = self._stream.get(max(0.0, deadline - time.monotonic()))
            if batch is None:
                return
            step = int(batch.pop("step"))
            if step >= self._step:
                self._held[step] = batch
            self._lag = self._step - step

    def _begin_here(self) -> None:
        # Windows are given out in order: those before one that came were given out before it.
        self._lost_below = max(self._held, default=self._step)
        self._began_here = self._step
        self._here = self._read_here(self._step)
        logger.warning(
            "input service: batch %d is read here, and so are the next until the service has "
            "them: %s",
            self._step,
            self._reason(),
        )

    def _end_here(self) -> None:
        if self._here is not None:
            self._here = None
            count = self._step - self._began_here
            logger.warning("input service: has batch %d; %d were read here", self._step, count)

    def _reason(self) -> str:
        if self._stream.error is not None:
            text = " ".join(str(self._stream.error).split())
            if READS_TOKEN in text:
                return f"a worker runs another version of wavestream, without {READS_TOKEN}"
            return f"it failed: {text[:200]}"
        if self._held:
            return f"it has not come, but {len(self._held)} batches behind it; has a worker ended?"
        return f"none has come for {self._patience:.0f} s; do its dispatcher and workers run?"

    def _connect(self) -> None:
        self._stream = self._read_there(self._step)
        self._at_end = weakref.finalize(self, self._stream.stop)
        self._connected, self._lag = time.monotonic(), 0

    def _reconnect(self) -> None:
        """Asks the service anew where it has failed or come back far behind, now and then."""
        useless = self._stream.error is not None or self._lag > self._max_late
        if useless and time.monotonic() > self._connected + self._seconds_between_connections:
            self._at_end()
            self._connect()
