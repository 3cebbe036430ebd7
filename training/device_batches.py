"""Batches on their way to the devices: prepared, drawn from a pool, ahead of the steps."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from models.interface import Batch, Model
from runtime.parallel import prefetch_to_devices
from training.feature_pool import FeaturePool, PoolSchedule
from training.step import DeviceBatch

_AHEAD = 2  # Batches.


def device_batch(model: Model, batch: Batch) -> DeviceBatch:
    """Returns the input of a step from a batch, still on the host."""
    return {"inputs": model.prepare(batch), "first": batch["first"], "stop": batch["stop"]}


def device_batches(model: Model, batches: Callable[[], Iterable[Batch]]) -> Iterator[DeviceBatch]:
    """Prepares batches in a thread, and copies them to the devices, ahead of the steps.

    Args:
      model: prepares them.
      batches: called at the first batch.
    """
    # A generator, so that no file is opened before the first batch is asked for.
    yield from prefetch_to_devices(_prepared(model, batches()))


def drawn_batches(
    model: Model,
    batches: Callable[[int], Iterable[Batch]],
    pool: FeaturePool,
    schedule: PoolSchedule,
    first_step: int,
) -> Iterator[DeviceBatch]:
    """Draws the samples of each step from a pool of prepared batches, and copies them likewise.

    Args:
      model: prepares the batches.
      batches: from the number of a batch to the batches from there on; called at the first step.
      pool: still empty.
      schedule: of the pool.
      first_step: the first step to draw for.
    """
    yield from prefetch_to_devices(_drawn(model, batches, pool, schedule, first_step))


def _prepared(model: Model, batches: Iterable[Batch]) -> Iterator[DeviceBatch]:
    """Prepares two batches ahead: a step may compute meanwhile.

    Reading stays in this thread: one that waits for a bucket could not be ended.
    """
    executor = ThreadPoolExecutor(1, "prepare")
    try:
        pending: collections.deque[Future[DeviceBatch]] = collections.deque()
        for batch in batches:
            pending.append(executor.submit(device_batch, model, batch))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)  # A batch may take seconds.


def _drawn(
    model: Model,
    batches: Callable[[int], Iterable[Batch]],
    pool: FeaturePool,
    schedule: PoolSchedule,
    first_step: int,
) -> Iterator[DeviceBatch]:
    added = schedule.batches(first_step).start
    prepared = _prepared(model, batches(added))
    with ThreadPoolExecutor(1, "draw") as executor:  # In the order of the steps.
        pending: collections.deque[Future[DeviceBatch]] = collections.deque()
        for step in itertools.count(first_step):
            while added < schedule.batches(step).stop:
                executor.submit(pool.add, added, next(prepared)).result()
                added += 1
            pending.append(executor.submit(pool.draw, step))
            if len(pending) > _AHEAD:
                yield pending.popleft().result()
