"""Writes WAV files of every encoding and layout, independently of the code under test."""

import io
import os
import struct
from collections.abc import Sequence

import numpy as np
import soundfile

from pipeline.wav.encoding import Encoding

RiffChunk = tuple[bytes, bytes]
"""Its four-letter name and its content."""

_TAIL = bytes.fromhex("800000aa00389b71")
_FORMATS = {  # format tag, bits
    Encoding.U8: (1, 8),
    Encoding.S16: (1, 16),
    Encoding.S24: (1, 24),
    Encoding.S32: (1, 32),
    Encoding.F32: (3, 32),
    Encoding.F64: (3, 64),
    Encoding.ALAW: (6, 8),
    Encoding.MULAW: (7, 8),
}


def _g711_table(subtype: str) -> np.ndarray:  # int64 [256]
    """The 16-bit values of all codes, according to libsndfile."""
    options = {"format": "RAW", "subtype": subtype, "samplerate": 8000, "channels": 1}
    return soundfile.read(io.BytesIO(bytes(range(256))), dtype="int16", **options)[0].astype(int)


G711_TABLES = {Encoding.ALAW: _g711_table("ALAW"), Encoding.MULAW: _g711_table("ULAW")}


def little(encoding: Encoding) -> Encoding:
    """The same encoding with little-endian samples."""
    return Encoding[encoding.name.removesuffix("_BE")]


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
        "RIFX" where the encoding is big-endian.
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
    content = wav_bytes(chunks, "RIFX" if encoding.is_big_endian else container)
    with open(path, "wb") as file:
        file.write(content)
    return content


def encode(frames: np.ndarray, encoding: Encoding) -> bytes:
    """The payload: interleaved samples."""
    if encoding in G711_TABLES:
        return (G711_TABLES[encoding] == frames[..., np.newaxis]).argmax(-1).astype("u1").tobytes()
    if little(encoding) is Encoding.S24:
        as_bytes = np.ascontiguousarray(frames, "<i4").view(np.uint8)
        as_bytes = as_bytes.reshape(*frames.shape, 4)[..., :3]
        return as_bytes[..., :: -1 if encoding.is_big_endian else 1].tobytes()
    dtypes = {
        Encoding.U8: "u1",
        Encoding.S16: "<i2",
        Encoding.S32: "<i4",
        Encoding.F32: "<f4",
        Encoding.F64: "<f8",
    }
    dtype = np.dtype(dtypes[little(encoding)])
    return frames.astype(dtype.newbyteorder(">") if encoding.is_big_endian else dtype).tobytes()


def fmt_chunk(
    encoding: Encoding, channels: int, sample_rate: int = 44100, extensible: bool = False
) -> bytes:
    """The content of a correct 'fmt ' chunk."""
    tag, bits = _FORMATS[little(encoding)]
    order = ">" if encoding.is_big_endian else "<"
    shown_tag = 0xFFFE if extensible else tag
    fmt = raw_fmt(shown_tag, channels, sample_rate, channels * bits // 8, bits, order)
    if extensible:
        fmt += struct.pack(f"{order}HHIIHH8s", 22, bits, 0, tag, 0, 0x10, _TAIL)
    return fmt


def raw_fmt(
    tag: int, channels: int, sample_rate: int, block_align: int, bits: int, order: str = "<"
) -> bytes:
    """The 16 bytes of a 'fmt ' chunk, right or wrong."""
    byte_rate = sample_rate * block_align % 2**32
    return struct.pack(f"{order}HHIIHH", tag, channels, sample_rate, byte_rate, block_align, bits)


def wav_bytes(chunks: Sequence[RiffChunk], container: str = "RIFF", pad: bool = True) -> bytes:
    """A whole file; `pad` puts a zero behind RIFF chunks of odd size, as the standard wants it."""
    order, is_64 = (">" if container == "RIFX" else "<"), container in ("RF64", "BW64")
    body = b"WAVE"
    if is_64:
        body += struct.pack("<4sI", b"ds64", 28) + bytes(28)
    for name, content in chunks:
        size = 0xFFFFFFFF if is_64 and name == b"data" else len(content)
        body += struct.pack(f"{order}4sI", name, size) + content + bytes(pad and len(content) % 2)
    if is_64:
        data_size = sum(len(content) for name, content in chunks if name == b"data")
        body = body[:12] + struct.pack("<QQQ", len(body), data_size, 0) + body[36:]
    size = 0xFFFFFFFF if is_64 else len(body)
    return struct.pack(f"{order}4sI", container.encode(), size) + body


def random_frames(
    encoding: Encoding, frames: int, channels: int, seed: int = 0
) -> np.ndarray:  # [F, C]
    """Random samples over the whole native scale, both ends included."""
    rng = np.random.default_rng(seed)
    shape = frames, channels
    if encoding.is_float:
        return rng.uniform(-1, 1, shape).astype("<f4" if encoding.bytes_per_sample == 4 else "<f8")
    if encoding in G711_TABLES:
        return rng.choice(G711_TABLES[encoding], shape)
    bits = 8 * encoding.bytes_per_sample
    low, high = (0, 255) if encoding is Encoding.U8 else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    samples = rng.integers(low, high, shape, np.int64, endpoint=True)
    samples.flat[: min(2, samples.size)] = (low, high)[: samples.size]
    return samples


def write_noise(folder: os.PathLike, frames: int, files: int = 5) -> None:
    """Writes 16-bit mono files of random samples."""
    for number in range(files):
        noise = random_frames(Encoding.S16, frames, 1, seed=number)
        write_wav(os.path.join(folder, f"{number}.wav"), noise, Encoding.S16)


def write_walks(folder: os.PathLike, files: int = 5) -> None:
    """Writes 16-bit mono files of some 3,000 frames that a model can learn: random walks."""
    rng = np.random.default_rng(0)
    for number in range(files):
        walk = rng.integers(-900, 900, (3000 + number, 1)).cumsum(0)
        path = os.path.join(folder, f"{number}.wav")
        write_wav(path, np.clip(walk, -(2**15), 2**15 - 1), Encoding.S16)
