"""Give back every byte of files that `compress` has made.

    python main.py decompress song.wav.wvst
    python main.py decompress --model=runs/mine/audio_model.npz --output_dir=restored ~/archive
    python main.py decompress --start=90 --duration=30 song.wav.wvst

A damaged file is named, with the segment and the seconds of it, and nothing is written for it;
--recover writes what is intact, and silence in place of the rest. --start and --duration decode a
part, to a WAV with the two times in its name. `python main.py -d` is the same as `decompress`.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.interface import Command
from runtime.errors import ConfigError

if TYPE_CHECKING:
    from codec.files import Job
    from codec.progress import Progress


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Decompresses; returns the exit status."""
    is_stdin = codec_files.is_stdin(arguments)
    is_part = values.start != 0 or values.duration is not None
    if is_part and values.recover:
        raise ConfigError("--recover: expected without --start and --duration")
    models, folders = codec_files.load_models(values), codec_files.folders(values)
    if is_stdin:
        _, threads = codec_files.share_threads(values, 1)
        with codec_files.seekable_stdin() as file:
            _write_stdout(file, values, models, folders, threads, is_part)
        return None
    from codec.files import decompress_file, find_jobs, slice_file

    jobs = find_jobs(arguments, codec_files.output_dir(values), compress=False)
    files, segments = codec_files.share_threads(values, len(jobs))
    shared: dict[str, Any] = {"num_threads": segments, "force": values.force}
    part = {"start": values.start, "duration": values.duration}

    def report(text: str) -> None:
        print(f"lost: {text}", file=sys.stderr)

    def work(job: "Job", progress: "Progress") -> tuple[int, int]:
        if is_part:
            return slice_file(job, models, folders, **part, **shared)
        recover = report if values.recover else None
        return decompress_file(job, models, folders, recover=recover, progress=progress, **shared)

    return codec_files.run_all(jobs, work, files)[0]


def _write_stdout(
    file: BinaryIO,
    values: FlagValues,
    models: Sequence[Any],
    folders: Sequence[str],
    num_threads: int,
    is_part: bool,
) -> None:
    from codec.decompress import decompress_parts, open_compressed
    from codec.seek import slice_parts

    opened = open_compressed(file, models, folders)
    if is_part:
        parts = slice_parts(opened, values.start, values.duration, num_threads=num_threads)
    else:
        parts = decompress_parts(opened, num_threads=num_threads)
    codec_files.write_stdout(parts)


COMMAND = Command(
    doc=__doc__,
    groups=(
        *(flags.MODEL_FILE, flags.MODEL_DIR, flags.DECOMPRESS),
        *(flags.OVERWRITE, flags.OUTPUT_DIR, flags.JOBS),
    ),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
