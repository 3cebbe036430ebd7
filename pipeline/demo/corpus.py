"""The demo corpus: four minutes of music and speech-like sound, for a first run without data.

Strings, percussion and voices, stereo and mono, 8, 16 and 24 bits, 8 kHz to 48 kHz, as WAV files
in folders. Each file is a pure function of its row in `_CORPUS`, seeded by its path.
"""

import io
import os
import wave
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.demo import tunes
from runtime import filesystem

# Raise it when the samples change, so that a corpus of an older version is written again.
_VERSION = 1
_MANIFEST = "MANIFEST.txt"


class _Piece(NamedTuple):
    """One file: its format, its peak and noise floor in dB of full scale, and what is played."""

    path: str
    rate: int
    channels: int
    bits: int
    seconds: int
    peak_db: float
    floor_db: float
    play: Callable[[tunes.Track], None]

    @property
    def size(self) -> int:
        """The bytes of the file, 44 of them its header."""
        return 44 + self.rate * self.seconds * self.channels * self.bits // 8


_CORPUS = (
    _Piece("strings/arpeggio.wav", 44100, 2, 16, 20, -3, -66, tunes.arpeggio),
    _Piece("strings/walk.wav", 22050, 1, 16, 24, -6, -60, tunes.melody),
    _Piece("strings/lute.wav", 48000, 2, 24, 12, -9, -72, lambda t: tunes.melody(t, 50, 0.5)),
    _Piece("strings/bass.wav", 32000, 1, 24, 12, -4, -66, lambda t: tunes.arpeggio(t, 33, 0.36)),
    _Piece("percussion/shuffle.wav", 44100, 2, 16, 12, -2, -60, tunes.drums),
    _Piece("percussion/sampler.wav", 11025, 1, 8, 16, -3, -45, lambda t: tunes.drums(t, 0.28)),
    _Piece("percussion/marimba.wav", 48000, 1, 24, 16, -6, -72, tunes.marimba),
    _Piece(
        "percussion/kalimba.wav", 16000, 2, 16, 20, -10, -60, lambda t: tunes.marimba(t, 64, 0.2)
    ),
    _Piece("speech/telephone.wav", 8000, 1, 16, 24, -4, -48, lambda t: tunes.talk(t, (118, 0))),
    _Piece("speech/reading.wav", 16000, 1, 16, 24, -6, -54, lambda t: tunes.talk(t, (195, 0))),
    _Piece("speech/studio.wav", 24000, 1, 24, 16, -8, -66, lambda t: tunes.talk(t, (96, 0))),
    _Piece("speech/dialogue.wav", 22050, 2, 16, 20, -3, -54, tunes.dialogue),
    _Piece("band/rehearsal.wav", 44100, 2, 24, 16, -1, -60, tunes.band),
)


def synthesize_demo_corpus(
    directory: str, *, progress: Callable[[str], None] | None = None
) -> None:
    """Writes the demo corpus into `directory`, or leaves it alone where it is complete.

    Each file appears whole or not at all, and the manifest last: whatever interrupted an earlier
    call, this one writes what is missing, truncated or of an older version.

    Args:
      directory: Made if it is missing. Files that are not the corpus's stay as they are.
      progress: Called with the relative path of each file that was written.

    Raises:
      OSError: `directory` cannot be written to.
    """
    manifest = os.path.join(directory, _MANIFEST)
    text = _manifest_text()
    same_version = _exists(manifest, len(text)) and filesystem.read_bytes(manifest) == text
    for piece in _CORPUS:
        path = os.path.join(directory, *piece.path.split("/"))
        if same_version and _exists(path, piece.size):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        filesystem.write_bytes_atomically(path, _wav_file(piece))
        if progress is not None:
            progress(piece.path)
    if not same_version:
        filesystem.write_bytes_atomically(manifest, text)


def _exists(path: str, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _manifest_text() -> bytes:
    lines = [f"wavestream demo corpus, version {_VERSION}, synthesized by pipeline/demo", ""]
    for piece in _CORPUS:
        layout = "stereo" if piece.channels == 2 else "mono"
        lines.append(
            f"{piece.path}: {layout}, {piece.bits} bits, {piece.rate} Hz, {piece.seconds} s"
        )
    return "\n".join([*lines, ""]).encode()


def _wav_file(piece: _Piece) -> bytes:
    """The file of a piece, header and all."""
    pcm = _render(piece)
    if piece.bits == 8:
        payload = (pcm + 128).astype("u1").tobytes()
    else:
        payload = pcm.astype("<i4").view("u1").reshape(-1, 4)[:, : piece.bits // 8].tobytes()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(piece.channels)
        writer.setsampwidth(piece.bits // 8)
        writer.setframerate(piece.rate)
        writer.writeframesraw(payload)
    return buffer.getvalue()


def _render(piece: _Piece) -> NDArray[np.int64]:
    """The samples of a piece, signed [F, C]."""
    rng = np.random.default_rng(zlib.crc32(piece.path.encode()))
    track = tunes.Track(rng, piece.rate, piece.seconds)
    piece.play(track)
    frames = track.in_a_room()
    if piece.channels == 1:
        frames = frames.mean(axis=1, keepdims=True)
    frames *= 10 ** (piece.peak_db / 20) / np.abs(frames).max()
    frames += 10 ** (piece.floor_db / 20) * rng.uniform(-1, 1, frames.shape)
    full_scale = 2 ** (piece.bits - 1)
    # Triangular dither: what is quieter than a step stays audible as noise.
    dither = rng.uniform(-0.5, 0.5, frames.shape) + rng.uniform(-0.5, 0.5, frames.shape)
    pcm = np.floor(frames * (full_scale - 1) + dither + 0.5).astype(np.int64)
    return pcm.clip(-full_scale, full_scale - 1)
