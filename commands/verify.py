"""Check that compressed files are intact, by the hash of their source.

For example:

    python main.py verify song.wav.wvst
    python main.py verify archive

They are decompressed, and nothing is written. The exit status is 1 if a file is damaged.
`python main.py -t` is the same.
"""

from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_progress import decompression_ratio
from commands.codec_runner import Wording, run_all, say_recover
from commands.interface import Command
from runtime.errors import ConfigError


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
    models = codec_files.load_models(values, "kernel.decode_stretch")
    from codec.files import verify_file

    files, segments = codec_files.share_threads(values, len(jobs))
    done = run_all(
        jobs,
        lambda job, progress: verify_file(
            job.source, models, folders, num_threads=segments, progress=progress.add
        ),
        files,
        Wording(
            *(lambda *_: "ok", "compressed", "decoded", decompression_ratio),
            all_done=", all intact",
        ),
        left_out,
        model=values.model,
        verbose=values.verbose,
    )
    codec_files.warn_of_other_models(values, models[0], done.fingerprints, folders)
    say_recover(done)
    return done.status


COMMAND = Command(
    doc=__doc__,
    groups=(flags.DECODING, flags.LINES),
    run=run,
    arguments="FILE|FOLDER ...",
)
