"""Codecs that are libraries, and the list of all codecs on this machine."""

import dataclasses
import functools
import lzma
import re
import zlib
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

import numpy as np
import soundfile
import zstandard

from evaluation.baselines.pcm import Codec, CodecError, Encoded, PcmFormat, write_audio
from evaluation.baselines.wavpack import WavPack
from pipeline.wav.pcm_bytes import pcm_bytes
from runtime.errors import ConfigError

_HEAD_BYTES = 4096  # more than the metadata that libFLAC writes
_LZMA_DICTIONARY = 2**26  # of preset 9
_ZSTD_LEVEL = 19  # the highest without --ultra


class _CountingFile:
    """A writable file that keeps only its length and its first bytes.

    So FLAC needs neither memory nor a disk, however long the audio. libFLAC goes back to the
    metadata once it knows them: hence `seek`.
    """

    def __init__(self) -> None:
        self.head = bytearray()
        self.length = 0
        self._position = 0

    def write(self, data: bytes) -> int:
        kept = data[: max(0, _HEAD_BYTES - self._position)]
        self.head[self._position : self._position + len(kept)] = kept
        self._position += len(data)
        self.length = max(self.length, self._position)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = offset + (0, self._position, self.length)[whence]
        return self._position

    def tell(self) -> int:
        return self._position


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flac:
    """FLAC by the libFLAC within libsndfile; `level` is that of the program `flac`, 0 to 8."""

    level: int
    key: str = dataclasses.field(default="flac", init=False)
    in_process: bool = dataclasses.field(default=True, init=False)

    @property
    def name(self) -> str:
        return f"FLAC -{self.level}"

    @functools.cached_property
    def version(self) -> str:
        silence = PcmFormat(sample_rate=8000, channels=1, depth=8, frames=1)
        vendor = re.search(
            rb"libFLAC [\d.]+", self._encode(silence, [np.zeros((1, 1), np.int32)]).head
        )
        return vendor[0].decode() if vendor else ""

    def encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Encoded:
        if pcm.depth > 24:
            raise CodecError("libsndfile encodes FLAC of at most 24 bits a sample")
        if pcm.channels > 8:
            raise CodecError("FLAC has at most 8 channels")
        try:
            file = self._encode(pcm, blocks)
        except soundfile.LibsndfileError as error:
            raise CodecError(f"{pcm.sample_rate} Hz, libsndfile: {error.error_string}") from error
        return Encoded(file.length, _metadata_bytes(file.head))

    def _encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> _CountingFile:
        file = _CountingFile()
        # libsndfile maps 0 to 1 onto libFLAC's levels, 0 to 8.
        write_audio(file, pcm, blocks, format="FLAC", compression_level=self.level / 8)
        return file


def _metadata_bytes(head: bytes | bytearray) -> int:
    """Returns where the first audio frame of a FLAC file begins, in bytes (RFC 9639, section 8)."""
    end = min(4, len(head))  # libFLAC writes nothing at all where there are no samples
    is_last = not head
    while not is_last:
        # A block has a flag of one bit, its type, and its length in 24 bits.
        is_last = bool(head[end] & 0x80)
        end += 4 + int.from_bytes(head[end + 1 : end + 4])
    return end


class _Stream(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compressor:
    """A general-purpose compressor of the bytes of the samples, without a header.

    Attributes:
      start: from the number of bytes to compress, returns a streaming compressor.
    """

    key: str
    name: str
    version: str
    start: Callable[[int], _Stream]
    in_process: bool = dataclasses.field(default=True, init=False)

    @functools.cached_property
    def _container_bytes(self) -> int:
        return len(self.start(0).flush())

    def encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Encoded:
        # What it needs for no bytes at all is its container: a header, a checksum.
        stream = self.start(pcm.num_bytes)
        total = sum(len(stream.compress(pcm_bytes(block, pcm.depth))) for block in blocks)
        return Encoded(total + len(stream.flush()), self._container_bytes)


def _start_xz(num_bytes: int) -> _Stream:
    # A dictionary larger than the data gains nothing and takes 40 ms to set up.
    dictionary = max(4096, min(_LZMA_DICTIONARY, num_bytes))
    preset = 9 | lzma.PRESET_EXTREME
    filters = [{"id": lzma.FILTER_LZMA2, "preset": preset, "dict_size": dictionary}]
    return lzma.LZMACompressor(filters=filters)


# wbits: with gzip's header and checksum, as the program writes them.
GZIP = Compressor(
    key="gzip",
    name="gzip -9",
    version=f"zlib {zlib.ZLIB_RUNTIME_VERSION}",
    start=lambda _: zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS),
)
# Python does not tell the version of liblzma.
XZ = Compressor(key="xz", name="xz -9e", version="", start=_start_xz)
ZSTD = Compressor(
    key="zstd",
    name=f"zstd -{_ZSTD_LEVEL}",
    version=f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))}",
    start=lambda size: zstandard.ZstdCompressor(_ZSTD_LEVEL).compressobj(size=size),
)
_WAVPACK = WavPack()
_CODECS: tuple[Codec, ...] = (Flac(level=5), Flac(level=8), _WAVPACK, GZIP, XZ, ZSTD)
CODEC_KEYS = tuple(dict.fromkeys(codec.key for codec in _CODECS))


def all_codecs(keys: Collection[str] | None = None) -> list[Codec]:
    """Returns codecs in the order of the report's table.

    Args:
      keys: of the codecs to return, from CODEC_KEYS; None: all that this machine has.

    Raises:
      ConfigError: a key is unknown, or its program not on the PATH.
    """
    for key in keys or ():
        if key not in CODEC_KEYS:
            raise ConfigError(f"unknown codec {key!r}, expected one of {', '.join(CODEC_KEYS)}")
    codecs = [codec for codec in _CODECS if keys is None or codec.key in keys]
    if _WAVPACK in codecs and not _WAVPACK.is_installed:
        if keys is not None:  # It was asked for by name.
            raise ConfigError(f"--codecs: not on the PATH: {_WAVPACK.name} (wavpack)")
        codecs.remove(_WAVPACK)
    return codecs
