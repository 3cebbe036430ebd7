"""What tests must not leave to each other."""

import logging
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import pytest

# Where `nohup` or `&` of a script started pytest it ignores them, and so would all that it starts.
for _signal, _handler in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

# Else the number of devices depends on the machine, and on which test uses JAX first.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=1")

# Most of the time of the suite is XLA compiling the same few small models, in process after
# process: what one has compiled, all others of the session use, and no test the user's own.
_CACHE = "JAX_COMPILATION_CACHE_DIR"
_OWNS_CACHE = _CACHE not in os.environ  # Workers of xdist inherit it.
if _OWNS_CACHE:
    os.environ[_CACHE] = tempfile.mkdtemp(prefix="wavestream_jax_cache_")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_unconfigure() -> None:
    if _OWNS_CACHE:
        shutil.rmtree(os.environ.get(_CACHE, ""), ignore_errors=True)


@pytest.fixture(autouse=True)
def _restored_logger() -> Iterator[None]:
    yield
    logger = logging.getLogger("wavestream")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
