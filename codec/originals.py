"""The originals of compressed files, with which they are compared before these are deleted."""

import contextlib
import os
from collections.abc import Sequence
from typing import NamedTuple

from codec.jobs import Job, find_jobs
from codec.left_out import LeftOut
from runtime.errors import ConfigError
from runtime.gfile import is_remote


class Originals(NamedTuple):
    """Compressed files and their originals.

    Attributes:
      jobs: the compressed files; the target of each is its original.
      unmatched: WAVs among the originals that have no compressed file.
      left_out: what else has none, and what cannot be read.
    """

    jobs: list[Job]
    unmatched: list[str]
    left_out: LeftOut


def find_originals(against: str, arguments: Sequence[str], left_out: LeftOut) -> Originals:
    """Returns compressed files and their originals, as `decompress` would lay these out.

    Args:
      against: their folder; or of one file the original.
      arguments: compressed files and folders. Only where all are folders, all that is in `against`
        should be among their files.
      left_out: what is left out of the compressed files is added to it, as by `find_jobs`.

    Raises:
      As `find_jobs`; ConfigError, FileNotFoundError: `against` is no folder that has one of the
        originals, nor the original of one file.
      OSError: it cannot be listed.
    """
    if is_remote(against):
        raise ConfigError(f"--against={against}: expected a local folder or file")
    against = os.path.expanduser(against)
    if not os.path.isdir(against):
        if not os.path.exists(against):
            raise FileNotFoundError(f"--against: there is no folder or file {against!r}")
        jobs = find_jobs(arguments, None, compress=False, left_out=left_out)
        if len(jobs) > 1:
            raise ConfigError(
                f"--against={against}: expected the folder of the originals of {len(jobs):,} files"
            )
        return Originals([jobs[0]._replace(target=against)], [], LeftOut())
    jobs = find_jobs(arguments, against, compress=False, are_written=False, left_out=left_out)
    if not any(os.path.lexists(job.target) for job in jobs):  # Else all is decoded in vain.
        several = len(jobs) > 1
        none = f"none of the {len(jobs):,} originals is" if several else "the original is not"
        raise FileNotFoundError(
            f"--against={against}: {none} there; that of {jobs[0].source} would be {jobs[0].target}"
        )
    others = LeftOut()
    if not all(os.path.isdir(os.path.expanduser(argument)) for argument in arguments):
        return Originals(jobs, [], others)
    found: list[Job] = []
    with contextlib.suppress(ConfigError):  # There are no WAVs.
        found = find_jobs([against], None, compress=True, left_out=others)
    others.counts.clear()  # Compressed files beside their originals.
    known = {os.path.abspath(job.target) for job in jobs}
    others.others = [path for path in others.others if os.path.abspath(path) not in known]
    unmatched = [job.source for job in found if os.path.abspath(job.source) not in known]
    return Originals(jobs, unmatched, others)
