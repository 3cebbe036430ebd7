"""Writes WAV files of every encoding and layout, independently of the code under test."""

import os
import struct
from collections.abc import Sequence

import numpy as np

from pipeline.wav.encoding import Encoding

RiffChunk = tuple[bytes, bytes]
"""Its four-letter name and its content."""

_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_FORMATS = {  # format tag, bits
    Encoding.U8: (1, 8),
    Encoding.S16: (1, 16),
    Encoding.S24: (1, 24),
    Encoding.S32: (1, 32),
    Encoding.F32: (3, 32),
    Encoding.F64: (3, 64),
}


def write_wav(
    path: str | bytes | os.PathLike,
    frames: np.ndarray,  # [F, C]
    encoding: Encoding,
    sample_rate: int = 44100,
    container: str = "RIFF",
    extensible: bool = False,
    extra_chunks_before: Sequence[RiffChunk] = (),
    extra_chunks_after: Sequence[RiffChunk] = (),
) -> bytes:
    """Writes a WAV file and returns its bytes.

    Args:
      path: where to.
      frames: on the native scale of the encoding (0..255 for U8, -1..1 for floats).
      encoding: how to store a sample.
      sample_rate: in Hz.
      container: "RIFF", "RF64" or "BW64"; the latter two state their sizes in a 'ds64' chunk.
      extensible: write a WAVE_FORMAT_EXTENSIBLE header.
      extra_chunks_before: go between 'fmt ' and 'data'.
      extra_chunks_after: go behind 'data'.
    """
    chunks = [
        (b"fmt ", fmt_chunk(encoding, frames.shape[1], sample_rate, extensible)),
        *extra_chunks_before,
        (b"data", encode(frames, encoding)),
        *extra_chunks_after,
    ]
    content = wav_bytes(chunks, container)
    with open(path, "wb") as file:
        file.write(content)
    return content


def encode(frames: np.ndarray, encoding: Encoding) -> bytes:
    """The payload: interleaved little-endian samples."""
    if encoding is Encoding.S24:
        as_bytes = np.ascontiguousarray(frames, "<i4").view(np.uint8)
        return as_bytes.reshape(*frames.shape, 4)[..., :3].tobytes()
    dtypes = {
        Encoding.U8: "u1",
        Encoding.S16: "<i2",
        Encoding.S32: "<i4",
        Encoding.F32: "<f4",
        Encoding.F64: "<f8",
    }
    return frames.astype(dtypes[encoding]).tobytes()


def fmt_chunk(
    encoding: Encoding, channels: int, sample_rate: int = 44100, extensible: bool = False
) -> bytes:
    """The content of a correct 'fmt ' chunk."""
    tag, bits = _FORMATS[encoding]
    fmt = raw_fmt(0xFFFE if extensible else tag, channels, sample_rate, channels * bits // 8, bits)
    if extensible:
        fmt += struct.pack("<HHIH", 22, bits, 0, tag) + _TAIL
    return fmt


def raw_fmt(tag: int, channels: int, sample_rate: int, block_align: int, bits: int) -> bytes:
    """The 16 bytes of a 'fmt ' chunk, right or wrong."""
    byte_rate = sample_rate * block_align % 2**32
    return struct.pack("<HHIIHH", tag, channels, sample_rate, byte_rate, block_align, bits)


def wav_bytes(chunks: Sequence[RiffChunk], container: str = "RIFF", pad: bool = True) -> bytes:
    """A whole file; `pad` puts a zero behind RIFF chunks of odd size, as the standard wants it."""
    body = b"WAVE"
    if container != "RIFF":
        body += struct.pack("<4sI", b"ds64", 28) + bytes(28)
    for name, content in chunks:
        in_ds64 = container != "RIFF" and name == b"data"
        size = 0xFFFFFFFF if in_ds64 else len(content)
        body += struct.pack("<4sI", name, size) + content + bytes(pad and len(content) % 2)
    if container != "RIFF":
        data_size = sum(len(content) for name, content in chunks if name == b"data")
        body = body[:12] + struct.pack("<QQQ", len(body), data_size, 0) + body[36:]
    size = len(body) if container == "RIFF" else 0xFFFFFFFF
    return struct.pack("<4sI", container.encode(), size) + body


def random_frames(
    encoding: Encoding, frames: int, channels: int, seed: int = 0
) -> np.ndarray:  # [F, C]
    """Random samples over the whole native scale, both ends included."""
    rng = np.random.default_rng(seed)
    shape = frames, channels
    if encoding.is_float:
        return rng.uniform(-1, 1, shape).astype("<f4" if encoding is Encoding.F32 else "<f8")
    bits = 8 * encoding.bytes_per_sample
    low, high = (0, 255) if encoding is Encoding.U8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    samples = rng.integers(low, high, shape, np.int64, endpoint=True)
    samples.flat[: min(2, samples.size)] = (low, high)[: samples.size]
    return samples


def write_walks(folder: os.PathLike, files: int = 5) -> None:
    """Writes 16-bit mono files of some 3,000 frames that a model can learn: random walks."""
    rng = np.random.default_rng(0)
    for number in range(files):
        walk = rng.integers(-900, 900, (3000 + number, 1)).cumsum(0)
        path = os.path.join(folder, f"{number}.wav")
        write_wav(path, np.clip(walk, -(2**15), 2**15 - 1), Encoding.S16)
