"""Frames of compressed files, read as `soundfile` reads those of others."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, Self

import numpy as np
from soundfile import SoundFileRuntimeError

from codec.arguments import Models, Path, load_models, model_folders, open_source, thread_count
from codec.decoder import open_compressed
from codec.seek import SeekableFile
from codec.values import DTYPES, as_dtype, subtype_of


class SoundFile:
    """A compressed file that is read in pieces, as `soundfile.SoundFile` reads others.

    Attributes:
      mode: "r".
      closed: whether it is closed.
      format: "WVST".
    """

    mode = "r"
    format = "WVST"

    def __init__(
        self,
        file: Path | bytes | BinaryIO,
        mode: Literal["r"] = "r",
        *,
        model: Models = None,
        model_dir: Path | Sequence[Path] = (),
        num_threads: int | None = None,
    ) -> None:
        """Opens it. Arguments and errors are those of `decompress`; ValueError: another mode."""
        if mode != "r":
            raise ValueError(
                f"mode={mode!r}: expected 'r' (codec.write writes; a model is given as model=...)"
            )
        self.closed = False
        self._name = type(file).__name__ if isinstance(file, bytes) else repr(file)
        self._threads = thread_count(num_threads)
        with contextlib.ExitStack() as stack:
            source = stack.enter_context(open_source(file))
            opened = open_compressed(source, load_models(model), model_folders(model_dir))
            self._seekable = SeekableFile(opened)
            self._stack = stack.pop_all()
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

    @property
    def subtype(self) -> str:
        """Of the samples, such as PCM_16."""
        return subtype_of(self._seekable.format.encoding)

    def __repr__(self) -> str:
        return (
            f"SoundFile({self._name}, mode={self.mode!r}, samplerate={self.samplerate}, "
            f"channels={self.channels}, frames={self.frames}, format={self.format!r}, "
            f"subtype={self.subtype!r})"
        )

    def __len__(self) -> int:
        return self.frames

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def seek(self, frames: int, whence: int = os.SEEK_SET) -> int:
        """Goes to a frame, counted as by `soundfile`; returns its number.

        Raises:
          RuntimeError: it is not within the file, or that is closed (SoundFileRuntimeError).
        """
        self._require_open()
        origins = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.frames}
        position = origins[whence] + frames if whence in origins else -1
        if not 0 <= position <= self.frames:
            raise SoundFileRuntimeError(
                f"seek({frames}, {whence}) from frame {self._position} of {self.frames}: expected "
                f"a frame from 0 to {self.frames}, and SEEK_SET, SEEK_CUR or SEEK_END"
            )
        self._position = position
        return position

    def tell(self) -> int:
        """Returns the frame that is read next."""
        self._require_open()
        return self._position

    def read(
        self, frames: int = -1, dtype: str = "float64", always_2d: bool = False
    ) -> np.ndarray:  # [n, C], or [n]
        """Returns the next frames, fewer at the end. Arguments as in `read`.

        Raises:
          ValueError, DataError: as in `read`.
          RuntimeError: the file is closed (SoundFileRuntimeError).
        """
        self._require_open()
        if dtype not in DTYPES:
            raise ValueError(f"dtype={dtype!r}: expected one of {', '.join(DTYPES)}")
        format_ = self._seekable.format
        left = self.frames - self._position
        count = left if frames < 0 else min(frames, left)
        samples = as_dtype(self._bytes(count), format_.encoding, dtype)
        self._position += count
        return (
            samples
            if format_.channels == 1 and not always_2d
            else samples.reshape(-1, format_.channels)
        )

    def blocks(
        self,
        blocksize: int,
        overlap: int = 0,
        frames: int = -1,
        dtype: str = "float64",
        always_2d: bool = False,
    ) -> Iterator[np.ndarray]:
        """Yields the next frames, `blocksize` at a time, fewer at the end.

        Args:
          blocksize: frames of a block.
          overlap: frames of a block that are the last of the block before, too.
          frames: to read; -1: to the end.
          dtype: as in `read`.
          always_2d: as in `read`.

        Raises:
          ValueError: `overlap` is not less than `blocksize`, or negative; or as in `read`.
          RuntimeError: the file is closed (SoundFileRuntimeError).
        """
        if not 0 <= overlap < blocksize:
            raise ValueError(
                f"blocksize={blocksize} and overlap={overlap}: expected an overlap from 0 to less "
                "than the blocksize"
            )
        left = self.frames - self.tell()
        left = left if frames < 0 else min(frames, left)
        tail = self.read(0, dtype, always_2d)
        while left > 0:
            count = min(blocksize - len(tail), left)
            block = np.concatenate([tail, self.read(count, dtype, always_2d)])
            tail = block[len(block) - overlap :].copy()  # The block is the caller's.
            left -= count
            yield block

    def _bytes(self, count: int) -> bytes:
        """Returns the next frames' bytes; keeps the segment that they end in."""
        size, segment = self._seekable.format.frame_bytes, self._seekable.format.segment
        first, end = self._position, self._position + count
        begin, held = self._held
        found = b""
        # Of a first read no more is decoded than it needs; of those that go on from there, all.
        goes_on = bool(held) and begin <= first <= begin + len(held) // size
        if goes_on:
            found = held[(first - begin) * size : (end - begin) * size]
            first += len(found) // size
        if first < end:
            stop = min(-(-end // segment) * segment, self.frames)
            payload = self._seekable.payload(
                first, end - first, ahead=stop - end if goes_on else 0, num_threads=self._threads
            )
            parts = list(payload)
            self._held = (max(first, (end - 1) // segment * segment), parts[-1])
            found += b"".join(parts)[: (end - first) * size]
        return found

    def close(self) -> None:
        """Closes the file."""
        self.closed = True
        self._stack.close()

    def _require_open(self) -> None:
        if self.closed:
            raise SoundFileRuntimeError("I/O operation on closed file")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
