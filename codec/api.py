"""What `import codec` has: compressed files in Python, in the words of `gzip` and `soundfile`."""

import io
from collections.abc import Sequence
from typing import BinaryIO

from codec.arguments import Models, Path, load_models, model_folders, open_source, thread_count
from codec.decoder import decompress_parts, open_compressed
from codec.encoder import compress_parts
from codec.sound_file import SoundFile, read, write

__all__ = ["SoundFile", "compress", "decompress", "read", "write"]


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
      FileNotFoundError, ConfigError, DataError, OSError: a file cannot be used.
    """
    with open_source(source) as file:
        size = file.seek(0, io.SEEK_END)
        parts = compress_parts(
            file, size, load_models(model), segment=segment, num_threads=thread_count(num_threads)
        )
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
      DataError: it is damaged, or its model is not at hand.
      FileNotFoundError, ConfigError, OSError: a file cannot be used.
    """
    with open_source(source) as file:
        opened = open_compressed(file, load_models(model), model_folders(model_dir))
        return b"".join(decompress_parts(opened, num_threads=thread_count(num_threads)))
