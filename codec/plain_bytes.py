"""Bytes that are no samples, or that the model has nothing to say about."""

import lzma

from runtime.errors import DataError

_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**22}]


def pack_bytes(data: bytes) -> bytes:
    """Returns any bytes as the payload of a block."""
    packed = lzma.compress(data, lzma.FORMAT_RAW, filters=_FILTERS)
    return bytes([1]) + packed if len(packed) < len(data) else bytes([0]) + data


def unpack_bytes(payload: bytes, most: int) -> bytes:
    """Returns the bytes. Raises DataError where they are damaged, or more than `most`."""
    method, data = payload[:1], payload[1:]
    if method not in (b"\0", b"\1"):
        raise DataError("bytes are packed by an unknown method")
    if method == b"\1":
        unpack = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_FILTERS)
        try:
            data = unpack.decompress(data, most + 1)
        except lzma.LZMAError as error:
            raise DataError(f"bytes are damaged: {error}") from error
    if len(data) > most:
        raise DataError(f"a block holds more than {most} bytes")
    return data
