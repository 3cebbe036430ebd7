"""A disk without space, at the last step of saving a checkpoint."""

import os
import re


def fill_disk(monkeypatch, times=10**9):
    """Makes `os.replace` fail for checkpoints, the next `times` times."""
    replace, left = os.replace, [times]

    def fails(source, target):
        if re.search(r"/\d+\.npz$", os.fspath(target)) and left[0]:
            left[0] -= 1
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
