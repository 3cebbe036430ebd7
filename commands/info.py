"""Show what is in compressed files: format, model, segments, sizes.

For example:

    python main.py info song.wav.wvst
    python main.py info --model_dir=runs/music archive        # names models that are there

Nothing is decoded, and no model is needed.
"""

from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.codec_runner import say_failed
from commands.interface import Command
from runtime.errors import ConfigError, UserError, message_of


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Prints a table of each file; returns the exit status."""
    if codec_files.is_stdin(arguments):
        raise ConfigError("info does not read stdin: expected files")
    import sys

    from codec.info import describe_file
    from codec.jobs import find_jobs
    from codec.left_out import LeftOut
    from runtime.formatting import format_row
    from runtime.terminal import styled

    folders = codec_files.folders(values)
    left_out = LeftOut()
    jobs = find_jobs(arguments, None, compress=False, left_out=left_out)
    status = 1 if say_failed(left_out) else None
    for number, job in enumerate(jobs):
        try:
            rows, problem = describe_file(job.source, folders)
        except (UserError, OSError) as error:
            rows, problem = [], message_of(error)
        if number and rows:
            print()
        for label, text in rows:
            print(format_row(label, text))
        if problem:
            sys.stdout.flush()  # On a terminal and in a file of both, it stands behind its table.
            label = styled("error:", "red", sys.stderr)
            print(f"{label} {job.source}: {problem}", file=sys.stderr)
            status = 1
    if text := left_out.describe():
        print(f"\n{format_row('left out', text)}")
    return status


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODELS,),
    run=run,
    arguments="FILE|FOLDER ...",
)
