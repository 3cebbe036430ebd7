"""The memory that Python allocates, of all threads."""

import contextlib
import tracemalloc
from collections.abc import Iterator

from runtime import background


@contextlib.contextmanager
def traced_memory() -> Iterator[None]:
    """Traces within the block, for `tracemalloc.get_traced_memory`.

    Waits for what earlier tests have left compiling in this process: it would be counted, too.
    """
    for thread in background._threads:
        thread.join()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()
