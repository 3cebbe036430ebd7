"""The interface of codecs: integer samples in, the size of the encoded stream out.

F frames, C channels.
"""

import dataclasses
import struct
from collections.abc import Iterable
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from pipeline.wav.encode import pcm_bytes

_MAX_WAV_BYTES = 2**32 - 2**10  # the sizes in its headers have 32 bits


class CodecError(ValueError):
    """A codec cannot encode a stream. The message does not name the file.

    Never raised beyond `encode.score_files`, where it becomes the remark of a score.
    """


@dataclasses.dataclass(frozen=True, kw_only=True)
class PcmFormat:
    """The format of a stream of samples.

    Attributes:
      sample_rate: in Hz.
      channels: C.
      depth: bits per sample: 8, 16, 24 or 32.
      frames: in the whole stream. Compressors need it beforehand, to size their dictionaries.

    Raises:
      ValueError: the depth is another one.
    """

    sample_rate: int
    channels: int
    depth: int
    frames: int

    def __post_init__(self) -> None:
        if self.depth not in (8, 16, 24, 32):
            raise ValueError(f"depth must be 8, 16, 24 or 32, got {self.depth}")

    @property
    def num_bytes(self) -> int:
        """Bytes of all samples."""
        return self.frames * self.channels * self.depth // 8


class Encoded(NamedTuple):
    """The size of an encoded stream.

    Attributes:
      total_bytes: bytes of the stream.
      container_bytes: those of headers and the like, without audio; NaN if unknown.
    """

    total_bytes: int
    container_bytes: float


class Codec(Protocol):
    """A lossless codec.

    Attributes:
      key: its short name in flags, such as "flac".
      name: with its options, such as "FLAC -8".
      version: of the program or library, such as "libFLAC 1.4.3"; empty if unknown.
      in_process: starts no program, and so is fast enough for thousands of short streams.
    """

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def in_process(self) -> bool: ...

    def encode(self, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Encoded:
        """Encodes a stream in bounded memory and returns its size.

        Args:
          pcm: the format of the stream.
          blocks: int32 [F, C] each, signed, on the scale of the depth.

        Raises:
          CodecError: the codec cannot encode this stream.
          OSError: temporary files cannot be written, or `blocks` raised it.
        """


def write_wav(file: BinaryIO, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> None:
    """Writes a plain WAV file, block by block.

    Args:
      file: to write to.
      pcm: the format of the stream.
      blocks: int32 [F, C] each, signed, on the scale of the depth.

    Raises:
      CodecError: it would be larger than a WAV file can be.
    """
    if pcm.num_bytes > _MAX_WAV_BYTES:
        raise CodecError("the program reads WAV files, which hold less than 4 GiB")
    frame_bytes = pcm.channels * pcm.depth // 8
    padding = bytes(pcm.num_bytes % 2)
    file.write(struct.pack("<4sI4s", b"RIFF", 36 + pcm.num_bytes + len(padding), b"WAVE"))
    # The plain format tag at any depth: some programs do not support WAVE_FORMAT_EXTENSIBLE, and
    # WavPack 5.6.0 accepts it.
    byte_rate = pcm.sample_rate * frame_bytes % 2**32
    fmt = struct.pack(
        "<HHIIHH", 1, pcm.channels, pcm.sample_rate, byte_rate, frame_bytes, pcm.depth
    )
    file.write(struct.pack("<4sI", b"fmt ", len(fmt)) + fmt)
    file.write(struct.pack("<4sI", b"data", pcm.num_bytes))
    for block in blocks:
        file.write(pcm_bytes(block, pcm.depth))
    file.write(padding)
