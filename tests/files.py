"""Tables of files that do not exist."""

from collections.abc import Sequence

import numpy as np

from pipeline.catalogue.string_array import join
from pipeline.catalogue.table import FileTable


def make_files(
    paths: Sequence[str],
    frames: int | np.ndarray,
    channels: int | np.ndarray,
    encoding: int,
    root: str = "/root/",
) -> FileTable:
    """Files of 1 MB each below a root."""
    count = len(paths)
    path_blob, path_bounds = join(paths)
    note_blob, note_bounds = join([""] * count)
    return FileTable(
        path_blob=path_blob,
        path_bounds=path_bounds,
        name_starts=np.full(count, len(root)),
        note_blob=note_blob,
        note_bounds=note_bounds,
        sizes=np.full(count, 10**6),
        mtimes_ns=np.zeros(count, np.int64),
        offsets=np.full(count, 44),
        frames=np.full(count, frames),
        channels=np.full(count, channels),
        sample_rates=np.full(count, 8000),
        encodings=np.full(count, encoding, np.int8),
    )
