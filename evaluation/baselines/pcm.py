"""The interface of codecs: integer samples in, the size of the encoded stream out.

F frames, C channels.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
import soundfile


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


def write_audio(
    file: Any, pcm: PcmFormat, blocks: Iterable[np.ndarray], *, format: str, **options: Any
) -> None:
    """Encodes a stream by libsndfile, block by block.

    Args:
      file: path to write to, or a file object.
      pcm: the format of the stream.
      blocks: int32 [F, C] each, signed, on the scale of the depth.
      format: "WAV", with the plain format tag at any depth, or "FLAC".
      options: more of those of `soundfile.SoundFile`.

    Raises:
      soundfile.LibsndfileError: it cannot be encoded or written.
    """
    # WAV alone stores 8 bits unsigned; the samples that are passed are signed in any case.
    sign_of_8_bits = "U" if format == "WAV" else "S"
    with soundfile.SoundFile(
        file,
        "w",
        pcm.sample_rate,
        pcm.channels,
        subtype=f"PCM_{sign_of_8_bits}8" if pcm.depth == 8 else f"PCM_{pcm.depth}",
        format=format,
        **options,
    ) as encoder:
        for block in blocks:
            # libsndfile takes 32-bit integers and drops the lower bits.
            encoder.write(np.left_shift(block, 32 - pcm.depth, dtype=np.int32))
