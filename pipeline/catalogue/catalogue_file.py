"""A catalogue in a file, made once for all hosts: to list and scan a large bucket takes hours."""

import dataclasses
import os
import time
from collections.abc import Sequence

from pipeline.catalogue.catalogue import Catalogue, find_and_scan
from pipeline.catalogue.column_file import ColumnFileError
from pipeline.catalogue.table import FileTable
from pipeline.split import hash_to_unit
from runtime.errors import DataError
from runtime.filesystem import absolute, stat
from runtime.gfile import is_remote, require_filesystem
from runtime.logging import logger
from runtime.progress import Progress, no_progress


class CatalogueError(DataError):
    """A file is no catalogue of these folders, or cannot be made."""


def open_catalogue(
    path: str,
    audio_dirs: Sequence[str],
    *,
    seed: int,
    progress: Progress = no_progress,
    num_threads: int = 16,
) -> Catalogue:
    """Returns the catalogue in a file as it stands; makes the file first where there is none.

    No folder is listed and no header is read: files that came since are not seen, and those that
    are gone are skipped when they are to be read.

    Args:
      path: the file; local, or of any file system that TensorFlow knows.
      audio_dirs: see `build_catalogue`.
      seed: of the split, whose hashes are kept in the file: they take minutes for 10^8 files.
      progress: see `build_catalogue`.
      num_threads: see `build_catalogue`.

    Raises:
      CatalogueError: the file is something else, damaged, or of other folders.
      OSError: it or a folder cannot be reached.
      MissingDependencyError, DataError: see `gfile.require_filesystem`.
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
        hashes = {seed: hash_to_unit(files.names, seed)}
        files = dataclasses.replace(files, split_hashes=hashes)
        if files.num_usable:
            files.save(path, {"audio_dirs": folders})
            logger.info(
                "%-16s %s written; runs that use it do not list the folders", "catalogue", path
            )
        return Catalogue.from_table(files)
    except ColumnFileError as error:
        raise CatalogueError(
            f"--catalogue={path} is not a usable catalogue: {error}. Expected one written by this "
            "version; delete the file to have it written again"
        ) from error
    if "audio_dirs" not in about:
        raise CatalogueError(
            f"--catalogue={path} is the cache of a run: expected a file that "
            "--catalogue has written"
        )
    if about["audio_dirs"] != folders:
        raise CatalogueError(
            f"--catalogue={path} is of {', '.join(about['audio_dirs'])}, not of --audio_dir="
            f"{','.join(folders)}: expected the same folders in the same order, or another file"
        )
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime(stat(path)[1] / 1e9))
    logger.info("%-16s %s, made %s; files that came since are not used", "catalogue", path, made)
    return Catalogue.from_table(files)
