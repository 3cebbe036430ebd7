"""Threads that the end of a command does not wait for.

XLA may compile for minutes, and cannot be interrupted: whoever has mistyped a folder would wait.
"""

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

Result = TypeVar("Result")

_threads: list[threading.Thread] = []


def run_in_background(function: Callable[[], Result], name: str) -> "Future[Result]":
    """Calls a function in a thread; without `exit_if_busy` the end of the process waits for it."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    # No daemon: what XLA does when Python ends without waiting is abort.
    thread = threading.Thread(target=run, name=name)
    _threads.append(thread)
    thread.start()
    return future


def exit_if_busy(status: int) -> None:
    """Ends the process if a thread is still at work: at once, without what `atexit` would call."""
    if any(thread.is_alive() for thread in _threads):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
