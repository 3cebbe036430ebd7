"""What tests must not leave to each other."""

import logging
import os
from collections.abc import Iterator

import pytest

# Else the number of devices depends on the machine, and on which test uses JAX first.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=1")


@pytest.fixture(autouse=True)
def _restored_logger() -> Iterator[None]:
    yield
    logger = logging.getLogger("wavestream")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
