"""Maps in threads, in order."""

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_in_threads(
    function: Callable[[Task], Result], tasks: Iterable[Task], num_threads: int, *, ahead: int
) -> Iterator[Result]:
    """Yields function(task) of each task, in their order.

    Args:
      function: runs without Python's lock, or mostly waits.
      tasks: pulled when they are started, not before.
      num_threads: that run at once.
      ahead: tasks that are pulled and not yet yielded, at most: they hold memory, but keep the
        threads busy behind a slow one.
    """
    pool = futures.ThreadPoolExecutor(num_threads)
    try:
        pending: collections.deque[futures.Future[Result]] = collections.deque()
        for task in tasks:
            pending.append(pool.submit(function, task))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)  # On Ctrl-C, drop the queued tasks.
