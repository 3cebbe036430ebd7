"""Whether a compressed file is intact, and is that of its original; nothing is written."""

from collections.abc import Iterable, Sequence
from typing import BinaryIO

from codec.damage import DamagedError, assess_damage
from codec.decoder import Opened, decompress_parts, open_compressed
from codec.model import CodecModel, WrongModelError
from codec.progress import Progress, no_progress
from runtime.errors import DataError, UserError


class DifferentError(UserError):
    """What a compressed file holds, intact, is not its original."""


def verify(
    file: BinaryIO,
    models: Sequence[CodecModel],
    folders: Sequence[str] = (),
    *,
    original: BinaryIO | None = None,
    num_threads: int = 1,
    progress: Progress = no_progress,
) -> tuple[Opened, int]:
    """Decompresses a file to nowhere, in memory that does not grow with its length.

    Args:
      file: from its beginning; it can seek.
      models: in which that of the file is looked for first.
      folders: where other models are looked for.
      original: compared with what is decompressed, byte for byte, from its beginning.
      num_threads: for segments at once, and their channels.
      progress: is told what has been decoded.

    Returns:
      The file, and how many bytes its source has.

    Raises:
      DamagedError: it is damaged, and how much of it.
      WrongModelError: its model was not found, or computes other floats here.
      DifferentError: it is not that of its original, from which byte on.
      OSError: one of them cannot be read.
    """
    try:
        opened = open_compressed(file, models, folders)
        parts = decompress_parts(opened, num_threads=num_threads, progress=progress)
        return opened, _compared(parts, original)
    except WrongModelError:
        raise
    except DataError as error:
        found = assess_damage(file)
        text = f"{error}; {found.text}" if found.text else str(error)
        raise DamagedError(text, is_recoverable=found.is_recoverable) from error


def _compared(parts: Iterable[bytes], original: BinaryIO | None) -> int:
    """Returns the bytes of all parts. Raises DifferentError where the original has others."""
    size = 0
    difference = ""  # The rest may still be damaged.
    for part in parts:
        if original is not None and not difference:
            expected = original.read(len(part))
            if expected != part:
                first = _first_difference(part, expected)
                place = f"{size + first:,}"
                difference = f"differs from byte {place} on"
                if first == len(expected):
                    difference = f"is shorter: it ends after byte {place}"
        size += len(part)
    if original is None:
        return size
    name = getattr(original, "name", "its original")
    if difference:
        raise DifferentError(f"intact, but {name} {difference}")
    if original.read(1):
        raise DifferentError(f"intact, but {name} is longer: it goes on after byte {size:,}")
    return size


def _first_difference(part: bytes, other: bytes) -> int:
    """Returns the place of the first byte in which two that are not equal differ."""
    low, high = 0, len(part)  # Where it is: the parts are equal before the first.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if part[low:middle] == other[low:middle] else (low, middle)
    return low
