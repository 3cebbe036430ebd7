"""Ctrl-C, and the signals that end a process, while files are written."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator

from runtime.atomic_files import remove_incomplete_files
from runtime.terminal import is_terminal, styled

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def ends_when_interrupted(describe: Callable[[], str] = lambda: "interrupted") -> Iterator[None]:
    """Within, Ctrl-C ends the process at once: status 130, a line, and no incomplete file.

    So do SIGTERM, with status 143, and SIGHUP, with 129.

    No exception does, since whoever handles it on the way would wait for the threads: what is
    compiled cannot be interrupted, and a segment takes a minute.

    Args:
      describe: returns the line.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in [*before.items()]:  # Ignored, after `nohup` or `&` in scripts.
        if handler not in (signal.SIG_DFL, signal.default_int_handler):
            del before[number]

    def end(number: int, _: object) -> None:
        remove_incomplete_files()
        try:
            text = describe()
        except RuntimeError:  # The bar is being drawn.
            text = "interrupted"
        message = f"{styled('error:', 'red', sys.stderr)} {text}\n"
        if is_terminal(sys.stderr):
            message = "\r\x1b[K" + message  # Of another bar.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(RuntimeError, OSError):  # It is in the middle of a line.
                stream.flush()
        with contextlib.suppress(OSError):  # Not by `print`, which would fail there, too.
            os.write(2, message.encode(errors="replace"))
        os._exit(128 + number)

    for number in before:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
