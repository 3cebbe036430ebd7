"""Frames of compressed files, read and written in the words of `soundfile`."""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Self

import numpy as np
import soundfile

from codec import values
from codec.arguments import Models, Path, load_models, model_folders, open_source, thread_count
from codec.decoder import open_compressed
from codec.encoder import compress_parts
from codec.seek import SeekableFile
from runtime.filesystem import write_atomically

_DTYPES = ("float64", "float32", "int32", "int16")


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
      frames: to read; -1: to the end, or to `stop`.
      start: first of them.
      stop: the one after the last, in place of `frames`.
      dtype: float64 or float32, of full scale 1; int32 or int16, of full scale 2^31 and 2^15.
      always_2d: return [frames, 1], not [frames], of one channel.
      model: as in `decompress`.
      model_dir: as in `decompress`.

    Returns:
      The samples, [frames, channels] or [frames], and the sample rate in Hz.

    Raises:
      ValueError: a dtype that cannot hold the samples.
      DataError, FileNotFoundError, ConfigError, OSError: as in `decompress`.
    """
    with SoundFile(file, model, model_dir=model_dir) as opened:
        opened.seek(start)
        if stop is not None:
            frames = max(0, min(stop, opened.frames) - start)
        return opened.read(frames, dtype, always_2d), opened.samplerate


class SoundFile:
    """A compressed file that is read in pieces, as `soundfile.SoundFile` reads others."""

    def __init__(
        self,
        file: Path | bytes | BinaryIO,
        model: Models = None,
        *,
        model_dir: Path | Sequence[Path] = (),
        num_threads: int | None = None,
    ) -> None:
        """Opens it. Arguments and errors are those of `decompress`."""
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open_source(file))
            opened = open_compressed(source, load_models(model), model_folders(model_dir))
            self._seekable = SeekableFile(opened)
            self._stack = stack.pop_all()
        self._threads = thread_count(num_threads)
        self._position = 0
        self._held: tuple[int, bytes] = (0, b"")  # First frame, and bytes from it on.

    @property
    def samplerate(self) -> int:
        """In Hz."""
        return self._seekable.format.sample_rate

    @property
    def channels(self) -> int:
        """Samples in a frame."""
        return self._seekable.format.channels

    @property
    def frames(self) -> int:
        """In the whole file."""
        return self._seekable.format.frames

    def __len__(self) -> int:
        return self.frames

    def seek(self, frame: int) -> int:
        """Goes to a frame, counted from the beginning; returns it. Raises ValueError."""
        if not 0 <= frame <= self.frames:
            raise ValueError(f"frame {frame} of {self.frames}: expected 0 to {self.frames}")
        self._position = frame
        return frame

    def tell(self) -> int:
        """Returns the frame that is read next."""
        return self._position

    def read(
        self, frames: int = -1, dtype: str = "float64", always_2d: bool = False
    ) -> np.ndarray:  # [n, C], or [n]
        """Returns the next frames, fewer at the end. Arguments and errors as in `read`."""
        format_ = self._seekable.format
        left = self.frames - self._position
        count = left if frames < 0 else min(frames, left)
        samples = _as_dtype(self._bytes(count), format_.encoding, dtype)
        self._position += count
        return (
            samples
            if format_.channels == 1 and not always_2d
            else samples.reshape(-1, format_.channels)
        )

    def blocks(
        self, blocksize: int, dtype: str = "float64", always_2d: bool = False
    ) -> Iterator[np.ndarray]:
        """Yields the rest of the file, `blocksize` frames at a time."""
        while self._position < self.frames:
            yield self.read(blocksize, dtype, always_2d)

    def _bytes(self, count: int) -> bytes:
        """Returns the next frames' bytes; keeps the segment that they end in."""
        size, segment = self._seekable.format.frame_bytes, self._seekable.format.segment
        first, end = self._position, self._position + count
        begin, held = self._held
        found = b""
        if begin <= first < begin + len(held) // size:
            found = held[(first - begin) * size : (end - begin) * size]
            first += len(found) // size
        if first < end:
            # To the end of the segment: the next read begins there.
            stop = min(-(-end // segment) * segment, self.frames)
            parts = list(self._seekable.payload(first, stop - first, num_threads=self._threads))
            last = stop - len(parts[-1]) // size
            self._held = (last, parts[-1])
            found += b"".join(parts)[: (end - first) * size]
        return found

    def close(self) -> None:
        """Closes the file."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write(
    path: Path,
    data: np.ndarray | Iterable[np.ndarray],
    samplerate: int,
    subtype: str = "PCM_16",
    *,
    model: Models = None,
    segment: int | None = None,
    num_threads: int | None = None,
) -> None:
    """Writes samples as a compressed WAV, as `soundfile.write` does; atomically.

    Args:
      path: of the file, such as "song.wav.wvst".
      data: samples [n, C] or [n], floats of full scale 1 or integers; or an iterable of such
        blocks, none of which is kept in memory.
      samplerate: in Hz.
      subtype: PCM_16, PCM_24, PCM_U8, FLOAT, ... of `soundfile.available_subtypes("WAV")`.
      model: as in `compress`.
      segment: as in `compress`.
      num_threads: as in `compress`.

    Raises:
      ValueError: samples that `soundfile` refuses.
      FileNotFoundError, ConfigError, DataError, OSError: as in `compress`.
    """
    blocks = iter([data] if isinstance(data, np.ndarray) else data)
    models = load_models(model)
    first = next(blocks)
    channels = 1 if first.ndim == 1 else first.shape[1]
    with tempfile.TemporaryFile() as wav:
        options = {"format": "WAV", "subtype": subtype}
        with soundfile.SoundFile(wav, "w", samplerate, channels, **options) as file:
            file.write(first)
            for block in blocks:
                file.write(block)
        size = wav.seek(0, io.SEEK_END)
        parts = compress_parts(
            wav, size, models, segment=segment, num_threads=thread_count(num_threads)
        )
        write_atomically(os.fspath(path), parts)


def _as_dtype(payload: bytes, encoding: Any, dtype: str) -> np.ndarray:
    if dtype not in _DTYPES:
        raise ValueError(f"dtype={dtype!r}: expected one of {', '.join(_DTYPES)}")
    if dtype.startswith("float"):
        return values.floats(payload, encoding).astype(dtype)
    wide = values.integers(payload, encoding) << 32 - encoding.depth
    return wide if dtype == "int32" else (wide >> 16).astype(np.int16)
