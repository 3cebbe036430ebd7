"""Work in threads, in order."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


Call = Callable[[], None]


def run_in_turns(turns: Iterable[Sequence[Call]], num_threads: int) -> Iterator[None]:
    """Makes calls, those of a turn side by side, turn after turn; yields after each.

    Args:
      turns: of calls that run without Python's lock, and may rely on those of earlier turns.
      num_threads: of a turn; 1: everything is called in this thread.
    """
    if num_threads == 1:
        for turn in turns:
            for call in turn:
                call()
            yield
        return
    with futures.ThreadPoolExecutor(num_threads) as pool:
        for turn in turns:
            for done in [pool.submit(call) for call in turn]:
                done.result()
            yield


def threads_each(num_threads: int, num_tasks: int) -> int:
    """Returns the threads that each of some tasks has, where all share `num_threads`."""
    return max(1, num_threads // max(1, min(num_threads, num_tasks)))


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
