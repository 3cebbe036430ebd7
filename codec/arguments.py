"""What the functions of `import codec` are given: sources, models, folders, threads."""

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any, BinaryIO

from codec.model import CodecModel, load_codec_model
from codec.shipped import shipped_models
from models.shipped import FOLDER, model_path
from runtime.devices import available_cores

Path = str | os.PathLike[str]
Models = Path | CodecModel | Sequence[Path | CodecModel] | None
"""The model file, several of them to choose from, or loaded models; None for those that ship, of
which "best", "normal" and "fast" name one."""


def open_source(source: Path | bytes | BinaryIO) -> contextlib.AbstractContextManager[BinaryIO]:
    """Opens a path or bytes; a file that is open stays so behind the context.

    Raises:
      TypeError: it is none of these.
      OSError: a path cannot be opened.
    """
    if isinstance(source, str | os.PathLike):
        return open(os.path.expanduser(source), "rb")
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    given: Any = source
    if isinstance(given, io.TextIOBase) or not hasattr(given, "seek"):
        raise TypeError(
            f"got {type(given).__name__}, expected a path, bytes, or a binary file that can "
            "seek (codec.write compresses arrays)"
        )
    return contextlib.nullcontext(source)  # Whoever has opened it closes it.


def load_models(model: Models) -> list[CodecModel]:
    """Returns the models of an argument. Raises FileNotFoundError, ConfigError."""
    given: Any = model
    if given is None:
        given = shipped_models()
    elif isinstance(given, str | os.PathLike | CodecModel):
        given = [given]
    return [
        one if isinstance(one, CodecModel) else load_codec_model(model_path(os.fspath(one)))
        for one in given
    ]


def model_folders(model_dir: Path | Sequence[Path]) -> list[str]:
    """Returns the folders to look for models in, those that ship included."""
    given = [model_dir] if isinstance(model_dir, str | os.PathLike) else model_dir
    return [*(os.path.expanduser(os.fspath(folder)) for folder in given), FOLDER]


def thread_count(num_threads: int | None) -> int:
    """Returns how many segments are coded at once. Raises ValueError for fewer than one."""
    if num_threads is not None and num_threads < 1:
        raise ValueError(f"num_threads={num_threads}: expected at least 1, or None for all cores")
    return available_cores() if num_threads is None else num_threads


def check_segment(segment: int | None) -> None:
    """Raises ValueError for segments of no frames."""
    if segment is not None and segment < 1:
        raise ValueError(f"segment={segment}: expected at least 1 frame, or None for the model's")
