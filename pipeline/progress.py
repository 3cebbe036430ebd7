"""A progress bar on a terminal, and nothing elsewhere."""

from collections.abc import Iterable

from tqdm import tqdm

from pipeline.catalogue import Progress


def progress_bar(label: str) -> Progress:
    """Returns what wraps an iterable of known length in a bar that goes away at its end."""

    def progress(items: Iterable, total: int) -> Iterable:
        return tqdm(items, total=total, desc=label, disable=None, leave=False)

    return progress
