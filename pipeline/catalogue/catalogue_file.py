"""A catalogue that is made once and given to all hosts: of a bucket that takes hours to look at."""

import dataclasses
import logging
import os
from collections.abc import Sequence

from pipeline.catalogue.catalogue import Catalogue, Progress, find_and_scan
from pipeline.catalogue.column_file import ColumnFileError
from pipeline.catalogue.table import FileTable
from pipeline.split import hash_to_unit
from runtime.filesystem import absolute, is_remote, require_filesystem

logger = logging.getLogger("wavestream")


class CatalogueError(ValueError):
    """A file is no catalogue of these folders."""


def open_catalogue(
    path: str,
    audio_dirs: Sequence[str],
    *,
    seed: int,
    progress: Progress | None = None,
    num_threads: int = 16,
) -> Catalogue:
    """Returns the catalogue in a file as it stands; makes the file first where there is none.

    Nothing is listed and no file is looked at, until it is read: what came since is not seen, and
    what is gone counts as unreadable then.

    Args:
      path: the file; local, or of any file system that TensorFlow knows.
      audio_dirs: see `build_catalogue`.
      seed: of the split, which is kept in the file: it takes minutes for 10^8 files.
      progress: see `build_catalogue`.
      num_threads: see `build_catalogue`.

    Raises:
      CatalogueError: the file is something else, damaged, or of other folders.
      OSError, ImportError, ValueError: it or a folder cannot be reached.
    """
    folders = [absolute(folder).rstrip("/") for folder in audio_dirs]
    require_filesystem(path)
    try:
        files, about = FileTable.load(path)
    except IsADirectoryError as error:
        raise CatalogueError(f"--catalogue={path} is a folder: expected a file") from error
    except FileNotFoundError:
        folder = os.path.dirname(path)
        if not is_remote(path) and not os.path.isdir(folder or "."):  # Before hours of work.
            raise CatalogueError(f"--catalogue={path}: there is no folder {folder}") from None
        files = find_and_scan(audio_dirs, None, progress, num_threads)
        files = dataclasses.replace(files, places={seed: hash_to_unit(files.names, seed)})
        if files.num_usable:
            files.save(path, {"audio_dirs": folders})
            logger.info("%-16s %s was made; with it no run looks at the folders", "catalogue", path)
        return Catalogue.usable(files)
    except ColumnFileError as error:
        raise CatalogueError(
            f"--catalogue={path} is no catalogue that can be used: {error}. Expected one that this "
            "version has made; without the file it is made anew"
        ) from error
    if "audio_dirs" not in about:
        raise CatalogueError(
            f"--catalogue={path} is what a run keeps for itself: expected one that "
            "this flag has made"
        )
    if about["audio_dirs"] != folders:
        raise CatalogueError(
            f"--catalogue={path} is of {', '.join(about['audio_dirs'])}, not of --audio_dir="
            f"{','.join(folders)}: expected the same folders in the same order, or another file"
        )
    return Catalogue.usable(files)
