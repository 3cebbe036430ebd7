"""Give back every byte of files that `compress` has made.

    python main.py decompress --model=audio_model.npz song.wav.wvst
    python main.py decompress --model_dir=models --output_dir=restored ~/archive

A damaged file is named, with the segment and the seconds of it, and nothing is written for it;
--recover writes what is intact, and silence in place of the rest.
"""

import sys
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.interface import Command


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Decompresses; returns the exit status."""
    models, folders = codec_files.load_models(values), codec_files.folders(values)
    from codec.decompress import decompress_parts, open_compressed
    from codec.files import decompress_file, find_jobs

    if list(arguments) == ["-"]:
        _, threads = codec_files.share_threads(values, 1)
        with codec_files.seekable_stdin() as file:
            opened = open_compressed(file, models, folders)
            codec_files.write_stdout(decompress_parts(opened, num_threads=threads))
        return None
    jobs = find_jobs(arguments, codec_files.output_dir(values), compress=False)
    files, segments = codec_files.share_threads(values, len(jobs))

    def report(text: str) -> None:
        print(f"lost: {text}", file=sys.stderr)

    return codec_files.run_all(
        jobs,
        lambda job: decompress_file(
            job,
            models,
            folders,
            num_threads=segments,
            force=values.force,
            recover=report if values.recover else None,
        ),
        files,
    )


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODEL_FILE, flags.CODEC, flags.RECOVERY, flags.OUTPUT_DIR),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
