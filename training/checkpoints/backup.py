"""Backs up files of an earlier run, so that nothing is overwritten."""

import os


def back_up(path: str) -> str | None:
    """Renames a file to the first free `{stem}.{n}{extension}`, n = 1, 2, ...

    Returns:
      The new name, or None where there is no such file.
    """
    if not os.path.exists(path):
        return None
    stem, extension = os.path.splitext(path)
    number = 1
    while os.path.exists(kept := f"{stem}.{number}{extension}"):
        number += 1
    os.rename(path, kept)
    return kept
