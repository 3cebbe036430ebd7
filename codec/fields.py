"""Numbers and bytes in a stream, and back, with truncation told."""

from typing import BinaryIO

from runtime.errors import DataError
from runtime.formatting import format_number

_MOST_BYTES = 10  # Of a number of 64 bits.


def number(value: int) -> bytes:
    """Returns a number >= 0, seven bits a byte, the least significant first (as LEB128)."""
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def signed(value: int) -> bytes:
    """Returns any number."""
    return number(value << 1 if value >= 0 else (-value << 1) - 1)


def read_number(file: BinaryIO) -> bytes:
    """Returns the bytes of the next number of a file. Raises DataError."""
    raw = b""
    while not raw or raw[-1] > 127:
        raw += read_exactly(file, 1, "a block")
        if len(raw) > 9:
            raise DataError("the head of a block is damaged")
    return raw


def read_exactly(file: BinaryIO, count: int, what: str, *, behind: int = 0) -> bytes:
    """Returns the next bytes of a file, all of them.

    Args:
      file: the file.
      count: of bytes.
      what: they are of, for the error.
      behind: bytes of the same that follow them.

    Raises:
      DataError: it ends before.
    """
    # In pieces: a damaged length must not ask for memory that the file cannot fill.
    parts = []
    while count:
        part = file.read(min(count, 2**24))
        if not part:
            raise truncated(what, count + behind)
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def truncated(what: str, missing: int) -> DataError:
    """Returns the error of what ends too early; what should follow it is missing, too."""
    verb = "is" if missing == 1 else "are"
    return DataError(
        f"{what} is truncated: at least {format_number(missing, 'byte')} {verb} missing"
    )


class Fields:
    """Reads what `number`, `signed` and slices of bytes were joined to."""

    def __init__(self, data: bytes, missing: int = 0) -> None:
        """Begins.

        Args:
          data: the bytes, or the first of them.
          missing: bytes that should follow them.
        """
        self.missing = missing
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes that have not been read."""
        return len(self._data) - self._at

    def number(self) -> int:
        """Returns the next number. Raises DataError at the end."""
        value = 0
        for place in range(_MOST_BYTES):
            byte = self.take(1)[0]
            value |= (byte & 127) << 7 * place
            if byte < 128:
                return value
        raise DataError("a number has more than 64 bits")

    def signed(self) -> int:
        """Returns the next signed number. Raises DataError at the end."""
        value = self.number()
        return -(value + 1 >> 1) if value & 1 else value >> 1

    def take(self, count: int) -> bytes:
        """Returns the next bytes. Raises DataError where there are fewer."""
        if count > self.left:
            raise DataError(f"{count} bytes expected, {self.left} are left: truncated")
        self._at += count
        return self._data[self._at - count : self._at]

    def rest(self) -> bytes:
        """Returns all that is left."""
        return self.take(self.left)
