"""Numbered batches from a stream that promises neither order nor completeness, put in order."""

import dataclasses
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import tensorflow as tf

from pipeline.iterate import NumpyBatch, iterate
from pipeline.reading.python_calls import VERSION
from runtime.logging import logger


class Stream:
    """The batches that a tf.data service delivers, in the order of arrival.

    The iterator of the service may block forever once the service is gone, and cannot be cancelled.
    So a daemon thread waits for it, which neither `stop` nor the exit of the program joins.
    """

    def __init__(self, make: Callable[[], tf.data.Dataset]) -> None:
        """Starts reading the dataset that `make` returns, on the thread: `make` may block, too."""
        self._make = make
        self._batches: queue.Queue[NumpyBatch | None] = queue.Queue(maxsize=2)
        self._stopped = False
        self.error: Exception | None = None
        """Why the stream failed, once `get` has returned None because of it."""
        threading.Thread(target=self._pull, daemon=True).start()

    def get(self, timeout_s: float) -> NumpyBatch | None:
        """Returns the next batch; None if none arrives in time, or the stream has failed."""
        try:
            return self._batches.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """Ends the thread with the next batch that arrives, if any."""
        self._stopped = True
        while self.get(0):  # Makes room, else the thread stays blocked in `put`.
            pass

    def _pull(self) -> None:
        try:
            for batch in iterate(self._make()):
                if self._stopped:
                    return
                self._batches.put(batch)
        except Exception as error:  # Of any kind: the trainer can read locally.
            self.error = error
            self._batches.put(None)


@dataclasses.dataclass(eq=False)
class ReorderBuffer(Iterator[NumpyBatch]):
    """Puts numbered batches in order, and reads missing ones locally.

    Attributes:
      read_remotely: from a step, returns the batches from there on, each with its `step`: in any
        order, possibly repeated or missing.
      read_locally: from a step, returns all batches from there on, in order.
      step: number of the next batch.
      max_held: limit on the early batches that are buffered.
      max_lag: batches by which the service may be behind before it is reconnected.
      timeout_s: seconds to wait for one batch.
      seconds_between_connections: least time before the service is reconnected.
      on_received: called with each step and batch that came from the service.
    """

    read_remotely: Callable[[int], Stream]
    read_locally: Callable[[int], Iterator[NumpyBatch]]
    step: int
    _: dataclasses.KW_ONLY
    max_held: int
    max_lag: int
    timeout_s: float
    seconds_between_connections: float
    on_received: Callable[[int, NumpyBatch], None] = lambda step, batch: None

    def __post_init__(self) -> None:
        self._held: dict[int, NumpyBatch] = {}
        self._abandoned_below = self.step  # Batches before this will not arrive any more.
        self._local: Iterator[NumpyBatch] | None = None
        self._local_since = self.step
        self._connect()

    def __next__(self) -> NumpyBatch:
        """Returns the next batch, from the service or read locally."""
        self._receive()
        batch = self._held.pop(self.step, None)
        if batch is not None:
            self._stop_local()
            self.on_received(self.step, batch)
        else:
            if self._local is None:
                self._local = self._start_local()
            batch = next(self._local)
            self._reconnect()
        self.step += 1
        return batch

    def _receive(self) -> None:
        """Buffers arrivals until the next batch is among them, or waiting for it is pointless."""
        hopeless = self._stream.error is not None or self.step < self._abandoned_below
        waits = self._local is None and not hopeless
        deadline = time.monotonic() + (self.timeout_s if waits else 0)
        while self.step not in self._held and len(self._held) < self.max_held:
            batch = self._stream.get(max(0.0, deadline - time.monotonic()))
            if batch is None:
                return
            step = int(batch.pop("step"))
            if step >= self.step:
                self._held[step] = batch
            self._lag = self.step - step

    def _start_local(self) -> Iterator[NumpyBatch]:
        # Windows are assigned in order, so every batch before the latest arrival was assigned, too:
        # it is late or lost, and not worth another timeout.
        self._abandoned_below = max(self._held, default=self.step)
        self._local_since = self.step
        logger.warning(
            "input service: reading batch %d and those after it locally, until the service "
            "delivers them: %s",
            self.step,
            self._reason(),
        )
        return self.read_locally(self.step)

    def _stop_local(self) -> None:
        if self._local is not None:
            self._local = None
            logger.warning(
                "input service: delivered batch %d again, after %d batches that were read locally",
                self.step,
                self.step - self._local_since,
            )

    def _reason(self) -> str:
        if self._stream.error is not None:
            text = " ".join(str(self._stream.error).split())
            if VERSION in text:
                return f"a worker runs another version of wavestream, without {VERSION}"
            return f"the connection failed: {text[:200]}"
        if self._held:
            return f"batch missing, {len(self._held)} later ones received; has a worker died?"
        return f"no batch for {self.timeout_s:.0f} s; are its dispatcher and workers running?"

    def _connect(self) -> None:
        self._stream = self.read_remotely(self.step)
        self._stop_stream = weakref.finalize(self, self._stream.stop)
        self._connected = time.monotonic()
        self._lag = 0  # Batches by which the last arrival was late.

    def _reconnect(self) -> None:
        """Reconnects to a service that failed or is far behind; at most once in a while."""
        useless = self._stream.error is not None or self._lag > self.max_lag
        if useless and time.monotonic() > self._connected + self.seconds_between_connections:
            self._stop_stream()
            self._connect()
