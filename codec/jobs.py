"""Which files are compressed or decompressed, and to where."""

import collections
import os
import stat
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pipeline.wav.riff import WAV_SUFFIXES
from runtime.errors import ConfigError
from runtime.gfile import is_remote

SUFFIX = ".wvst"


class Job(NamedTuple):
    """A file, and what becomes of it.

    Attributes:
      source: its path.
      target: path of the result.
    """

    source: str
    target: str


LeftOut = collections.Counter[str]
"""Files below the folders that are left out, by the reason."""


def find_jobs(
    paths: Sequence[str],
    output_dir: str | None,
    *,
    compress: bool,
    left_out: LeftOut | None = None,
) -> list[Job]:
    """Returns what to do with files, and with those below folders, in the order of their names.

    Args:
      paths: of files of any kind, and of folders: of these the WAVs, or the compressed files.
      output_dir: keeps the folders' trees; None: each result goes beside its source.
      compress: whether SUFFIX is added to the names, or taken away.
      left_out: what is left out is counted there.

    Raises:
      FileNotFoundError: there is no such file.
      OSError: a folder cannot be listed.
      ConfigError: there is nothing to do, or two results have one name.
    """
    left_out = collections.Counter() if left_out is None else left_out
    # By their paths: of a file that is named twice there is one result.
    found = {
        os.path.abspath(path): (path, name)
        for root in paths
        for path, name in _files_of(os.path.expanduser(root), compress, left_out)
    }
    if not found:
        wanted = "WAV" if compress else SUFFIX
        if not paths:
            raise ConfigError(f"expected {wanted} files, or folders that have some; got none")
        raise ConfigError(
            f"no {wanted} file in {', '.join(paths)} or the folders below"
            + (f" (left out: {describe_left_out(left_out)})" if left_out else "")
        )
    jobs = []
    for _, (path, name) in sorted(found.items()):
        place = path if output_dir is None else os.path.join(output_dir, name)
        if not compress and not place.endswith(SUFFIX):
            raise ConfigError(f"{path}: expected a compressed file, whose name ends with {SUFFIX}")
        jobs.append(Job(path, place + SUFFIX if compress else place.removesuffix(SUFFIX)))
    targets = {job.target: job.source for job in jobs}
    for job in jobs:
        if targets[job.target] != job.source:
            raise ConfigError(
                f"{targets[job.target]} and {job.source} would both become {job.target}: give "
                "each an --output_dir of its own"
            )
    return jobs


def drop_present(jobs: Sequence[Job], named: Sequence[str], left_out: LeftOut) -> list[Job]:
    """Returns the jobs whose result is not there yet, so that an interrupted command goes on.

    Args:
      jobs: the files.
      named: the arguments: what is named itself is never left out.
      left_out: what is left out is counted there.
    """
    paths = {os.path.abspath(os.path.expanduser(path)) for path in named}
    kept = []
    for job in jobs:
        if os.path.abspath(job.source) not in paths and _is_result(job):
            left_out["there already; --force overwrites"] += 1
        else:
            kept.append(job)
    return kept


def _is_result(job: Job) -> bool:
    """Whether a result is there; it has its source's time, unless that has changed since."""
    try:
        source, target = os.stat(job.source), os.lstat(job.target)
    except OSError:
        return False
    return source.st_mtime_ns == target.st_mtime_ns and stat.S_ISREG(target.st_mode)


def describe_left_out(left_out: LeftOut) -> str:
    """Returns the number of files that are left out, with the reasons."""
    return ", ".join(f"{reason} ({count:,})" for reason, count in left_out.most_common())


def _files_of(root: str, compress: bool, left_out: LeftOut) -> Iterator[tuple[str, str]]:
    """Yields the path of a file, or of those below a folder, and their names below it.

    Unlike a corpus (`runtime.find_files`), an archive has hidden files, and each of several hard
    links. Links to folders are not followed: they may lead anywhere.
    """
    if is_remote(root):
        raise ConfigError(f"{root}: expected local files and folders")
    if os.path.isfile(root):
        yield root, os.path.basename(root)
        return
    if not os.path.isdir(root):
        raise FileNotFoundError(f"there is no folder or file {root!r}")

    def stop(error: OSError) -> None:
        raise error

    for folder, folders, names in os.walk(root, onerror=stop):
        left_out.update(
            "links to folders" for name in folders if os.path.islink(os.path.join(folder, name))
        )
        for name in names:
            path = os.path.join(folder, name)
            if reason := _why_left_out(path, compress):
                left_out[reason] += 1
            else:
                yield path.removeprefix("./"), os.path.relpath(path, root)


def _why_left_out(path: str, compress: bool) -> str:
    """Returns why a file below a folder is left out; empty if it is not."""
    name = path.lower()
    if compress and name.endswith(SUFFIX):
        return "compressed already"
    if not name.endswith(WAV_SUFFIXES if compress else SUFFIX):
        return "not WAV" if compress else f"not {SUFFIX}"
    if not os.path.exists(path):
        return "links that lead nowhere"
    return "" if os.path.isfile(path) else "not files"
