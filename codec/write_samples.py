"""Arrays of samples become compressed files, as `soundfile` writes others."""

import io
import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import ArrayLike

from codec.arguments import Models, Path, check_segment, load_models, thread_count
from codec.encoder import compress_parts
from codec.jobs import SUFFIX
from codec.values import SUBTYPES
from runtime.atomic_files import write_atomically


def write(
    file: Path | BinaryIO,
    data: ArrayLike | Iterator[ArrayLike],
    samplerate: int,
    subtype: str = "PCM_16",
    *,
    model: Models = None,
    segment: int | None = None,
    num_threads: int | None = None,
) -> None:
    """Writes samples as a compressed WAV, as `soundfile.write` does.

    Args:
      file: a path that ends with ".wvst", which is replaced atomically; or a binary file.
      data: samples, an array [n, C] or [n] of float64 or float32 of full scale 1, beyond which they
        are clipped, or of int32 or int16; or an iterator of such blocks, none of which is kept in
        memory.
      samplerate: in Hz.
      subtype: PCM_U8, PCM_16, PCM_24, PCM_32, FLOAT, DOUBLE, ALAW or ULAW.
      model: as in `compress`.
      segment: as in `compress`.
      num_threads: as in `compress`.

    Raises:
      ValueError: as in `compress`; another name or subtype, samples that `soundfile` refuses, or
        that the subtype cannot hold: NaN and infinity, for A-law and mu-law all beyond 1.
      TypeError: `file` is neither a path nor a file.
      FileExistsError: the path is of a device, FIFO or folder.
      FileNotFoundError, ConfigError, DataError, OSError: as in `compress`.
    """
    _require_target(file)
    check_segment(segment)
    threads = thread_count(num_threads)
    subtype = str(subtype).upper()
    if subtype not in SUBTYPES.values():
        raise ValueError(f"subtype {subtype}: expected one of {', '.join(SUBTYPES.values())}")
    given = data if isinstance(data, Iterator) else iter([data])
    blocks = (_samples(block, subtype) for block in given)
    first = next(blocks, None)
    if first is None:
        raise ValueError("there are no blocks: expected one at least, if of 0 frames")
    channels = 1 if first.ndim == 1 else first.shape[1]
    models = load_models(model)
    with tempfile.TemporaryFile() as wav:
        options = {"format": "WAV", "subtype": subtype}
        with soundfile.SoundFile(wav, "w", samplerate, channels, **options) as sound_file:
            for block in itertools.chain([first], blocks):
                sound_file.write(block)
        size = wav.seek(0, io.SEEK_END)
        parts = compress_parts(wav, size, models, segment=segment, num_threads=threads)
        if isinstance(file, str | os.PathLike):
            write_atomically(os.path.expanduser(os.fspath(file)), parts)
        else:
            file.writelines(parts)


def _require_target(file: Any) -> None:
    if isinstance(file, str | os.PathLike):
        if not os.fspath(file).endswith(SUFFIX):
            raise ValueError(
                f"{os.fspath(file)}: expected a name that ends with {SUFFIX}; soundfile.write "
                "writes other formats"
            )
    elif not hasattr(file, "writelines") or isinstance(file, io.TextIOBase):
        raise TypeError(
            f"got {type(file).__name__}, expected a path that ends with {SUFFIX}, or a binary file"
        )


def _samples(block: Any, subtype: str) -> np.ndarray:
    """Returns a block as an array. Raises ValueError for samples that a subtype cannot hold."""
    samples = np.asarray(block)
    if samples.ndim not in (1, 2):
        raise ValueError(f"samples of shape {samples.shape}: expected [n, channels], or [n]")
    if samples.dtype.kind == "f" and subtype not in ("FLOAT", "DOUBLE"):
        # libsndfile clips only for PCM; NaN and infinity become any integer.
        is_clipped = subtype.startswith("PCM")
        most = np.finfo(samples.dtype).max if is_clipped else 1
        if not np.all(np.abs(samples) <= most):
            expected = "finite samples" if is_clipped else "samples from -1 to 1"
            raise ValueError(
                f"there are samples that {subtype} cannot hold: expected {expected}, or the "
                "subtype FLOAT or DOUBLE"
            )
    return samples
