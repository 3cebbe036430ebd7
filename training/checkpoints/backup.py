"""Backs up files of an earlier run, so that nothing is overwritten."""

import os

from runtime.filesystem import list_names, rename
from runtime.logging import logger


def back_up(path: str) -> None:
    """Renames a file, if there is one, to the first free `{stem}.{n}{extension}`, n = 1, 2, ...

    Raises:
      OSError: it cannot be renamed.
    """
    folder, name = os.path.split(path)
    names = set(list_names(folder))
    if name not in names:
        return
    stem, extension = os.path.splitext(name)
    number = 1
    while (kept := f"{stem}.{number}{extension}") in names:
        number += 1
    rename(path, os.path.join(folder, kept))
    logger.info("the earlier %s is kept as %s", path, os.path.join(folder, kept))
