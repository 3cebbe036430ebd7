"""Check that compressed files are intact, by the hash of their source.

For example:

    python main.py verify song.wav.wvst
    python main.py verify archive
    python main.py verify --against=originals archive  # byte for byte, too

They are decompressed, and nothing is written. The exit status is 1 if a file is damaged, or
differs from its original. `python main.py -t` is the same.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_messages import say_problems
from commands.codec_progress import decompression_ratio
from commands.codec_runner import Wording, run_all, say_recover
from commands.interface import Command
from evaluation.report.formatting import printable
from runtime.errors import ConfigError
from runtime.formatting import format_number, format_row

if TYPE_CHECKING:
    from codec.originals import Originals


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Verifies; returns the exit status."""
    if codec_files.is_stdin(arguments):
        raise ConfigError(
            "verify does not read stdin: expected files; `decompress - > /dev/null` checks a pipe"
        )
    from codec.jobs import find_jobs
    from codec.left_out import LeftOut
    from codec.originals import find_originals

    folders = codec_files.folders(values)
    left_out = LeftOut()
    originals = None
    if values.against is None:
        jobs = find_jobs(arguments, None, compress=False, left_out=left_out)
    else:
        originals = find_originals(values.against, arguments, left_out)
        jobs, failed = originals.jobs, originals.left_out.failed
        left_out.failed += [one for one in failed if one not in left_out.failed]
    models = codec_files.load_models(values, "kernel.decode_stretch")
    from codec.files import verify_file

    if originals:  # First: all else takes long.
        unmatched = [(path, "it has no compressed file") for path in originals.unmatched]
        shown = {"as_json": values.json, "verbose": values.verbose}
        say_problems(unmatched, "without one", **shown)
    as_originals = ", identical to their originals" if originals else ""
    said = "ok, identical to its original" if originals else "ok"
    files, segments = codec_files.share_threads(values, len(jobs))
    done = run_all(
        jobs,
        lambda job, progress: verify_file(
            job.source,
            models,
            folders,
            original=job.target if originals else None,
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
    if originals:
        _say_unmatched(originals, values)
    return 1 if originals and originals.unmatched else done.status


def _say_unmatched(originals: "Originals", values: FlagValues) -> None:
    """Says what of the originals is not in the archive; beside JSON to stderr."""
    count = len(originals.unmatched)
    wavs = f"{format_number(count, 'WAV')} of {printable(values.against)}" if count else ""
    if text := "; ".join(filter(None, (wavs, originals.left_out.describe()))):
        print(format_row("not archived", text), file=sys.stderr if values.json else sys.stdout)


COMMAND = Command(
    doc=__doc__,
    groups=(flags.ORIGINALS, flags.DECODING, flags.LINES),
    run=run,
    arguments="FILE|FOLDER ...",
)
