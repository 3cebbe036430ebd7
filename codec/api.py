"""What `import codec` has: compressed files in Python, in the words of `gzip` and `soundfile`."""

import contextlib
import io
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np

from codec.arguments import (
    Models,
    Path,
    check_segment,
    load_models,
    model_folders,
    open_source,
    thread_count,
)
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.file_info import Info as Info
from codec.file_info import read_info
from codec.sound_file import SoundFile as SoundFile
from codec.verification import DifferentError as DifferentError
from codec.verification import verify as verify_opened
from codec.write_samples import write as write


def compress(
    source: Path | bytes | BinaryIO,
    model: Models = None,
    *,
    segment: int | None = None,
    num_threads: int | None = None,
) -> bytes:
    """Returns a file, compressed: every byte of it comes back, whatever it is.

    Args:
      source: a path, the bytes of a WAV, or a file that can seek.
      model: that codes it: "best" (also if None), "normal" or "fast", which ship; or a
        path, a loaded model, or several to choose from by the depth of the samples.
      segment: frames that are coded alone, rounded down to four significant bits.
      num_threads: segments at once; None: the cores.

    Raises:
      ValueError: `segment` or `num_threads` is less than 1.
      FileNotFoundError, ConfigError, DataError, OSError: a file cannot be used.
    """
    check_segment(segment)
    threads = thread_count(num_threads)
    with open_source(source) as file:
        size = file.seek(0, io.SEEK_END)
        parts = compress_parts(file, size, load_models(model), segment=segment, num_threads=threads)
        return b"".join(parts)


def decompress(
    source: Path | bytes | BinaryIO,
    model: Models = None,
    *,
    model_dir: Path | Sequence[Path] = (),
    num_threads: int | None = None,
) -> bytes:
    """Returns the file that was compressed.

    Args:
      source: a path, what `compress` has returned, or a file that can seek.
      model: that it was compressed with, or several among which it is.
      model_dir: folders where it is looked for.
      num_threads: segments at once; None: the cores.

    Raises:
      ValueError: `num_threads` is less than 1.
      DataError: it is damaged, or its model was not found.
      FileNotFoundError, ConfigError, OSError: a file cannot be used.
    """
    threads = thread_count(num_threads)
    with open_source(source) as file:
        opened = open_compressed(file, load_models(model), model_folders(model_dir))
        return b"".join(decompress_parts(opened, num_threads=threads))


def verify(
    source: Path | bytes | BinaryIO,
    model: Models = None,
    *,
    original: Path | bytes | BinaryIO | None = None,
    model_dir: Path | Sequence[Path] = (),
    num_threads: int | None = None,
) -> None:
    """Checks that a compressed file is intact, by decoding it to nowhere.

    Args:
      source: as in `decompress`.
      model: as in `decompress`.
      original: compared with what is decoded, byte for byte; None: the hash in the file is enough.
      model_dir: as in `decompress`.
      num_threads: as in `decompress`.

    Raises:
      DataError: it is damaged, and how much of it is lost; or its model was not found.
      DifferentError: it is intact, but not that of the original.
      ValueError, FileNotFoundError, ConfigError, OSError: as in `decompress`.
    """
    threads = thread_count(num_threads)
    models, folders = load_models(model), model_folders(model_dir)
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(open_source(source))
        expected = None if original is None else stack.enter_context(open_source(original))
        verify_opened(file, models, folders, original=expected, num_threads=threads)


def info(source: Path | bytes | BinaryIO, *, model_dir: Path | Sequence[Path] = ()) -> Info:
    """Returns what a compressed file says of itself: nothing is decoded, and no model is needed.

    Args:
      source: as in `decompress`.
      model_dir: folders where its model is looked for, to name it.

    Raises:
      DataError: it is no compressed file, or is damaged.
      FileNotFoundError, OSError: it cannot be read.
    """
    with open_source(source) as file:
        return read_info(file, model_folders(model_dir))


def read(
    file: Path | bytes | BinaryIO,
    frames: int = -1,
    start: int = 0,
    stop: int | None = None,
    dtype: str = "float64",
    always_2d: bool = False,
    *,
    model: Models = None,
    model_dir: Path | Sequence[Path] = (),
) -> tuple[np.ndarray, int]:
    """Reads frames of a compressed file, as `soundfile.read` does: only these are decoded.

    Args:
      file: a path, what `compress` has returned, or a file that can seek.
      frames: to read, fewer at the end; -1: to `stop`.
      start: first of them; negative: counted from the end.
      stop: the one after the last, in place of `frames`; negative: counted from the end; None: to
        the end.
      dtype: float64 or float32, of full scale 1; int32 or int16, of full scale 2^31 and 2^15.
      always_2d: return [frames, 1], not [frames], of one channel.
      model: as in `decompress`.
      model_dir: as in `decompress`.

    Returns:
      The samples, [frames, channels] or [frames], and the sample rate in Hz.

    Raises:
      TypeError: both `frames` and `stop` are given.
      ValueError: an unknown dtype, or integers of a file of floats.
      DataError, FileNotFoundError, ConfigError, OSError: as in `decompress`.
    """
    if frames >= 0 and stop is not None:
        raise TypeError(f"frames={frames} and stop={stop}: only one of them may be given")
    with SoundFile(file, model=model, model_dir=model_dir) as opened:
        first, end, _ = slice(start, stop).indices(opened.frames)
        opened.seek(first)
        count = max(0, end - first) if frames < 0 else frames
        return opened.read(count, dtype, always_2d), opened.samplerate
