"""The real size of files that are compressed with a model, as the command `compress` writes them.

N files.
"""

import numpy as np

from codec.encoder import compress_parts
from codec.model import CodecModel
from evaluation.results import CodecScore
from pipeline.catalogue.catalogue import Catalogue
from pipeline.wav.encoding import Encoding
from pipeline.wav.header import read_header
from runtime.devices import available_cores
from runtime.filesystem import open_binary, open_for_reads, stat
from runtime.progress import Progress, no_progress
from runtime.threads import map_in_threads

NAME = "wavestream"
_MOST_REASONS = 3


def score_compressed(
    catalogue: Catalogue,
    model: CodecModel,
    segment: int,
    progress: Progress = no_progress,
) -> CodecScore:
    """Compresses every file, to nowhere, and returns the sizes.

    Args:
      catalogue: the files.
      model: codes them.
      segment: frames that are coded alone.
      progress: shows the files done.

    Returns:
      The score. A file that the model cannot code, or not all of it, is NaN there, and so is one
      that can no longer be read, or of which the catalogue has a part.
    """
    cores = available_cores()
    files = range(len(catalogue))
    # Long files have segments for all cores, short ones are compressed side by side.
    threads = max(1, cores // max(1, len(catalogue)))

    def size(file: int) -> tuple[float, float, str]:
        try:
            return *_size(catalogue, file, model, segment, threads), ""
        except OSError as error:
            return np.nan, np.nan, error.strerror or str(error)

    outcomes = map_in_threads(size, files, min(cores, len(catalogue)), ahead=2 * cores)
    bits, container_bits, reasons = zip(*progress(outcomes, len(catalogue)), strict=True)
    encodings = [Encoding(int(number)) for number in catalogue.encodings]
    failed = sum(map(bool, reasons))
    why = "; ".join([*dict.fromkeys(filter(None, reasons))][:_MOST_REASONS])
    return CodecScore(
        codec=NAME,
        version="",
        bits=np.array(bits),
        container_bits=np.array(container_bits),
        samples=catalogue.frames * catalogue.channels,
        depth=np.array([encoding.depth for encoding in encodings]),
        remark=f"{failed} of {len(files)} files: {why}" if failed else "",
    )


def _size(
    catalogue: Catalogue, file: int, model: CodecModel, segment: int, num_threads: int
) -> tuple[float, float]:
    """Returns the bits of the segments, and those of everything else in the compressed file."""
    path, segments = catalogue.paths[file], 0
    with open_for_reads(path) as read_at:
        if read_header(read_at, stat(path)[0]).frames != catalogue.frames[file]:
            raise OSError("a part of the file is evaluated")

    def count(_read: int, made: int, seconds: float) -> None:
        nonlocal segments
        segments += made if seconds else 0

    problems: list[str] = []
    with open_binary(path) as source:
        parts = compress_parts(
            source,
            stat(path)[0],
            [model],
            segment=segment,
            num_threads=num_threads,
            progress=count,
            report=problems.append,
        )
        total = sum(map(len, parts))
    if problems:  # The figure would be LZMA's.
        raise OSError(problems[0])
    return 8.0 * segments, 8.0 * (total - segments)
