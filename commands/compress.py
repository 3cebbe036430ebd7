"""Compress files losslessly with an adaptive model.

    python main.py compress --model=audio_model.npz song.wav another.wav ~/music
    python main.py compress --model=audio_model.npz - < song.wav > song.wav.wvst

Each file becomes one beside it, or in --output_dir, with .wvst added to its name; of a folder, all
WAVs below it. `decompress` gives back every byte: samples, tags and all, also of files that are no
WAVs.
"""

import os
import sys
import tempfile
from collections.abc import Sequence

from absl.flags import FlagValues

import flags
from commands import codec_files
from commands.interface import Command


def run(values: FlagValues, arguments: Sequence[str]) -> int | None:
    """Compresses; returns the exit status."""
    models = codec_files.load_models(values)
    codec_files.require_models(models)
    from codec.compress import DEFAULT_SEGMENT
    from codec.files import compress_file, find_jobs

    segment = values.segment or DEFAULT_SEGMENT
    if list(arguments) == ["-"]:
        _stream(models, segment, values.jobs)
        return None
    jobs = find_jobs(arguments, codec_files.output_dir(values), compress=True)
    files, segments = codec_files.share_threads(values, len(jobs))
    by_source = {job.source: job for job in jobs}
    return codec_files.run_all(
        list(by_source),
        lambda source: compress_file(
            by_source[source],
            models,
            segment=segment,
            num_threads=segments,
            force=values.force,
            delete_source=values.delete_input_file,
        ),
        files,
    )


def _stream(models: list, segment: int, jobs: int | None) -> None:
    from codec.compress import compress_parts

    # A pipe cannot seek, and the header of a WAV may be wrong about its size.
    with tempfile.TemporaryFile() as source:
        while piece := sys.stdin.buffer.read(2**20):
            source.write(piece)
        size = source.tell()
        threads = jobs or os.cpu_count() or 1
        parts = compress_parts(source, size, models, segment=segment, num_threads=threads)
        sys.stdout.buffer.writelines(parts)
        sys.stdout.buffer.flush()


COMMAND = Command(
    doc=__doc__,
    groups=(flags.MODEL_FILE, flags.SEGMENT, flags.CODEC, flags.OUTPUT_DIR),
    run=run,
    arguments="FILE|FOLDER|- ...",
)
