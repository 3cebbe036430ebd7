"""How errors end the process: those of the user in one line, bugs of ours with a traceback."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import NoReturn

from runtime import distributed
from runtime.errors import UserError, message_of
from runtime.logging import logger
from runtime.terminal import styled


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Exits with one line and status 2 after a UserError, an OSError, or too little device memory.

    Ctrl-C is status 130. All other exceptions pass through. The other hosts of a run, which would
    wait for this one, learn the reason and end as well.
    """
    try:
        yield
    except BrokenPipeError as error:
        distributed.abort(1, repr(error))
        raise  # `parser.run` ends quietly.
    except KeyboardInterrupt:
        _exit(130, "interrupted")
    except (UserError, OSError) as error:
        _exit(2, message_of(error))
    except RuntimeError as error:
        # By its text: the class of JAX's errors has other names in older versions, and JAX may not
        # be imported.
        if "RESOURCE_EXHAUSTED" in str(error):
            _exit(2, f"out of memory, try a smaller --batch_size: {str(error).splitlines()[0]}")
        raise


def _exit(status: int, message: str) -> NoReturn:
    if os.environ.get("WAVESTREAM_TRACEBACK"):
        traceback.print_exc()
    message = " ".join(message.split())
    if logger.handlers:  # The log file of a run must say how the run has ended.
        logger.error(message)
    else:
        print(f"{styled('error:', 'red', sys.stderr)} {message}", file=sys.stderr)
    distributed.abort(status, message)
    sys.exit(status)
