"""What tests must not leave to each other."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _restored_logger() -> Iterator[None]:
    yield
    logger = logging.getLogger("wavestream")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    logger.propagate = True
