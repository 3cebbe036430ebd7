"""Check that compressed files are intact, by the hash of their source.

For example:

    python main.py verify song.wav.wvst
    python main.py verify archive
    python main.py verify --against=originals archive  # byte for byte, too

They are decompressed, and nothing is written. The exit status is 1 if a file is damaged, or not
that of its original.
`python main.py -t` is the same.
"""

import contextlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_progress import decompression_ratio
from commands.codec_runner import Wording, run_all, say_recover
from commands.interface import Command
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from codec.jobs import Job
    from codec.left_out import LeftOut


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Verifies; returns the exit status."""
    if codec_files.is_stdin(arguments):
        raise ConfigError(
            "verify does not read stdin: expected files; `decompress - > /dev/null` checks a pipe"
        )
    from codec.jobs import find_jobs
    from codec.left_out import LeftOut

    folders = codec_files.folders(values)
    left_out = LeftOut()
    jobs = find_jobs(arguments, None, compress=False, left_out=left_out)
    originals = _originals(values.against, arguments, jobs, left_out)
    models = codec_files.load_models(values, "kernel.decode_stretch")
    from codec.files import verify_file

    as_originals = " and as their originals" if originals else ""
    said = "ok, as its original" if originals else "ok"
    files, segments = codec_files.share_threads(values, len(jobs))
    done = run_all(
        jobs,
        lambda job, progress: verify_file(
            job.source,
            models,
            folders,
            original=originals.get(job.source),
            num_threads=segments,
            progress=progress.add,
        ),
        files,
        Wording(
            *(lambda *_: said, "compressed", "decoded", decompression_ratio),
            all_done=f", all intact{as_originals}",
        ),
        left_out,
        model=values.model,
        verbose=values.verbose,
        as_json=values.json,
    )
    codec_files.warn_of_other_models(values, models[0], done.fingerprints, folders)
    say_recover(done)
    return done.status


def _originals(
    against: str | None, arguments: Sequence[str], jobs: Sequence["Job"], left_out: "LeftOut"
) -> dict[str, str]:
    """Returns the original of each file, where `decompress --output_dir` would write it.

    Where folders are verified, originals without a file fail.

    Args:
      against: the folder of the originals, or that of one file; None: there are none.
      arguments: files and folders.
      jobs: the files.
      left_out: what has failed is added to it.

    Raises:
      ConfigError, FileNotFoundError: `against` is no folder, nor the original of one file.
    """
    from codec.jobs import find_jobs
    from pipeline.catalogue.catalogue import Skipped

    if against is None:
        return {}
    against = os.path.expanduser(against)
    if not os.path.isdir(against):
        if not os.path.exists(against):
            raise FileNotFoundError(f"--against: there is no folder or file {against!r}")
        if len(jobs) > 1:
            raise ConfigError(
                f"--against={against}: expected the folder of the originals of {len(jobs):,} files"
            )
        return {jobs[0].source: against}
    originals = {job.source: job.target for job in find_jobs(arguments, against, compress=False)}
    if all(os.path.isdir(os.path.expanduser(path)) for path in arguments):
        known = {os.path.abspath(path) for path in originals.values()}
        left_out.failed += [
            Skipped(path, "no compressed file of it is among those that are verified")
            for path in _wavs_below(against)
            if os.path.abspath(path) not in known
        ]
    return originals


def _wavs_below(folder: str) -> list[str]:
    from codec.jobs import find_jobs

    with contextlib.suppress(ConfigError):  # There are none.
        return [job.source for job in find_jobs([folder], None, compress=True)]
    return []


COMMAND = Command(
    doc=__doc__,
    groups=(flags.ORIGINALS, flags.DECODING, flags.LINES),
    run=run,
    arguments="FILE|FOLDER ...",
)
