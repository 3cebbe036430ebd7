"""Backs up files of an earlier run, so that nothing is overwritten."""

import os

from runtime.logging import logger


def back_up(path: str) -> None:
    """Renames a file, if there is one, to the first free `{stem}.{n}{extension}`, n = 1, 2, ..."""
    if not os.path.exists(path):
        return
    stem, extension = os.path.splitext(path)
    number = 1
    while os.path.exists(kept := f"{stem}.{number}{extension}"):
        number += 1
    os.rename(path, kept)
    logger.info("%s of an earlier run is renamed to %s", path, kept)
