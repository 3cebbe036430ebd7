"""Which files are compressed or decompressed, and to where."""

import errno
import os
import pathlib
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from codec.left_out import LeftOut
from pipeline.catalogue.catalogue import Skipped
from pipeline.wav.other_audio import how_to_convert
from pipeline.wav.riff import WAV_SUFFIXES
from runtime.errors import ConfigError
from runtime.gfile import is_remote

SUFFIX = ".wvst"
_COMPRESSED_ALREADY = "compressed already"
_ANEW = "; to compress anew, decompress first"
_MOST_NAMES = 5  # In an error.
_DANGLING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Job(NamedTuple):
    """A file, and what becomes of it.

    Attributes:
      source: its path.
      target: path of the result.
    """

    source: str
    target: str


def find_jobs(
    paths: Sequence[str],
    output_dir: str | None,
    *,
    compress: bool,
    all_files: bool = False,
    are_written: bool = True,
    left_out: LeftOut | None = None,
) -> list[Job]:
    """Returns what to do with files, and with those below folders, in the order of their names.

    Args:
      paths: of files of any kind (but a compressed one is not compressed again), and of folders: of
        these the WAVs, or the compressed files.
      output_dir: keeps the folders' trees; None: each result goes beside its source.
      compress: whether SUFFIX is added to the names, or taken away.
      all_files: of folders compress files of any kind, too.
      are_written: whether the results are, so that each must have a name of its own.
      left_out: what is left out is added to it, folders that cannot be listed and empty ones among
        it.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: one of the folders that are named cannot be listed.
      ConfigError: there is nothing to do, or two results have one name.
    """
    left_out = LeftOut() if left_out is None else left_out
    left_out.wanted = wanted = "WAV" if compress else SUFFIX
    suffixes: tuple[str, ...] = WAV_SUFFIXES if compress else (SUFFIX,)
    if all_files:
        suffixes = ("",)
    # By their paths: of a file that is named twice there is one result.
    found = {
        os.path.abspath(path): (path, name)
        for root in paths
        for path, name in _files_of(
            os.path.expanduser(root), output_dir, compress, suffixes, left_out
        )
    }
    if not found:
        if not paths:
            raise ConfigError(f"expected {wanted} files, or folders that have some; got none")
        if len(paths) == 1 and os.path.isfile(os.path.expanduser(paths[0])):
            raise ConfigError(f"{paths[0]} is {_COMPRESSED_ALREADY}{_ANEW}")
        more = f" and {len(paths) - _MOST_NAMES:,} more" if len(paths) > _MOST_NAMES else ""
        found_else = left_out.describe(with_failed=True)
        raise ConfigError(
            f"no {wanted} file in {', '.join(paths[:_MOST_NAMES])}{more} or the folders below"
            + (f" (left out: {found_else})" if found_else else "")
            + (_ANEW if left_out.counts[_COMPRESSED_ALREADY] else "")
            + (how_to_convert(left_out.other_audio()) if compress else "")
        )
    jobs = []
    for _, (path, name) in sorted(found.items()):
        place = path if output_dir is None else os.path.join(output_dir, name)
        if not compress and not place.endswith(SUFFIX):
            raise ConfigError(f"{path}: expected a compressed file, whose name ends with {SUFFIX}")
        jobs.append(Job(path, place + SUFFIX if compress else place.removesuffix(SUFFIX)))
    targets = {job.target: job.source for job in jobs}
    for job in jobs:
        if are_written and targets[job.target] != job.source:
            raise ConfigError(
                f"{targets[job.target]} and {job.source} would both become {job.target}: give "
                "each an --output_dir of its own"
            )
    return jobs


def make_empty_folders(output_dir: str, left_out: LeftOut) -> None:
    """Makes the empty folders that were found below others; one that cannot be has failed."""
    for name in left_out.empty_folders:
        path = os.path.join(output_dir, name)
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            left_out.failed.append(Skipped(path, error.strerror or str(error)))


def _files_of(
    root: str,
    output_dir: str | None,
    compress: bool,
    suffixes: tuple[str, ...],
    left_out: LeftOut,
) -> Iterator[tuple[str, str]]:
    """Yields the path of a file, or of those below a folder, and their names below it.

    Unlike a corpus (`runtime.find_files`), an archive has hidden files, and each of several hard
    links. Links to folders are not followed: they may lead anywhere.
    """
    if is_remote(root):
        raise ConfigError(f"{root}: expected local files and folders")
    if os.path.isfile(root):
        if compress and root.lower().endswith(SUFFIX):  # As `compress folder/*` names it.
            left_out.counts[_COMPRESSED_ALREADY] += 1
        else:
            yield root, os.path.basename(root)
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder or file {root!r}")

    def skip(error: OSError) -> None:
        if error.filename == root:
            raise error
        left_out.failed.append(Skipped(str(error.filename), error.strerror or str(error)))

    # Of earlier results no folder is made anew: each time it would be a level deeper.
    results = output_dir if output_dir and _is_below(output_dir, root) else None
    for folder, folders, names in os.walk(root, onerror=skip):
        if not folders and not names and not (results and _is_below(folder, results)):
            left_out.empty_folders.append(os.path.relpath(folder, root))
        links = (os.path.join(folder, name) for name in folders)
        left_out.named += [
            Skipped(path, "a link to a folder: not followed")
            for path in links
            if os.path.islink(path)
        ]
        for name in names:
            path = os.path.join(folder, name)
            if _is_taken(path, compress, suffixes, left_out):
                yield path.removeprefix("./"), os.path.relpath(path, root)


def _is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder, or below it."""
    return pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_taken(path: str, compress: bool, suffixes: tuple[str, ...], left_out: LeftOut) -> bool:
    """Whether a file below a folder is taken; if not, that is added to what is left out."""
    name = path.lower()
    is_wanted = name.endswith(suffixes)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _DANGLING:
            reason = f"a link that leads nowhere: {reason}"
        # Its name says whether it is lost; to what a link without a suffix led, nobody knows.
        if is_wanted:
            left_out.failed.append(Skipped(path, reason))
        elif not os.path.splitext(path)[1]:
            left_out.named.append(Skipped(path, reason))
        else:
            left_out.others.append(path)
        return False
    if compress and name.endswith(SUFFIX):
        left_out.counts[_COMPRESSED_ALREADY] += 1
    elif not is_wanted:
        left_out.others.append(path)
    elif not stat.S_ISREG(mode):
        left_out.named.append(Skipped(path, "not a file"))
    else:
        return True
    return False
