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
from commands.interface import Command
from runtime.errors import ConfigError, UserError


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Prints a table of each file; returns the exit status."""
    if codec_files.is_stdin(arguments):
        raise ConfigError("info reads files: expected their names")
    import sys

    from codec.files import find_jobs
    from codec.info import describe_file
    from runtime.formatting import format_row

    status = None
    for number, job in enumerate(find_jobs(arguments, None, compress=False)):
        try:
            rows = describe_file(job.source, codec_files.folders(values))
        except (UserError, OSError) as error:
            print(f"error: {job.source}: {error}", file=sys.stderr)
            status = 1
            continue
        if number:
            print()
        for label, text in rows:
            print(format_row(label, text))
    return status


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODELS,),
    run=run,
    arguments="FILE|FOLDER ...",
)
