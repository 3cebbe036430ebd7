"""The originals of compressed files, with which they are compared before these are deleted."""

import contextlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from codec.jobs import Job, find_jobs
from codec.left_out import LeftOut
from runtime.errors import ConfigError


class Originals(NamedTuple):
    """The originals of compressed files.

    Attributes:
      paths: of each, by the compressed file's.
      unmatched: WAVs among them that no compressed file is of.
      left_out: what else is among them, and what cannot be read.
    """

    paths: dict[str, str]
    unmatched: list[str]
    left_out: LeftOut


def find_originals(against: str, arguments: Sequence[str], jobs: Sequence[Job]) -> Originals:
    """Returns the originals of files, where `decompress --output_dir` would write them.

    Args:
      against: their folder; or of one file the original.
      arguments: compressed files and folders. Only where all are folders, all that is in `against`
        should be among their files.
      jobs: the files of these.

    Raises:
      ConfigError, FileNotFoundError: `against` is no folder that has one of the originals, nor the
        original of one file.
      OSError: it cannot be listed.
    """
    against = os.path.expanduser(against)
    if not os.path.isdir(against):
        if not os.path.exists(against):
            raise FileNotFoundError(f"--against: there is no folder or file {against!r}")
        if len(jobs) > 1:
            raise ConfigError(
                f"--against={against}: expected the folder of the originals of {len(jobs):,} files"
            )
        return Originals({jobs[0].source: against}, [], LeftOut())
    pairs = find_jobs(arguments, against, compress=False, are_written=False)
    if not any(os.path.lexists(pair.target) for pair in pairs):  # Else all is decoded in vain.
        several = len(pairs) > 1
        none = f"none of the {len(pairs):,} originals is" if several else "the original is not"
        raise FileNotFoundError(
            f"--against={against}: {none} there; that of {pairs[0].source} would be "
            f"{pairs[0].target}"
        )
    paths = {pair.source: pair.target for pair in pairs}
    left_out = LeftOut()
    if not all(os.path.isdir(os.path.expanduser(argument)) for argument in arguments):
        return Originals(paths, [], left_out)
    found: list[Job] = []
    with contextlib.suppress(ConfigError):  # There are no WAVs.
        found = find_jobs([against], None, compress=True, left_out=left_out)
    left_out.counts.clear()  # Compressed files beside their originals.
    known = {os.path.abspath(path) for path in paths.values()}
    left_out.others = [path for path in left_out.others if os.path.abspath(path) not in known]
    unmatched = [job.source for job in found if os.path.abspath(job.source) not in known]
    return Originals(paths, unmatched, left_out)
