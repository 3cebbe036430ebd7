"""The demo corpus: four minutes of music and speech-like sound, for a first run without data.

Strings, percussion and voices, stereo and mono, 8, 16 and 24 bits, 8 kHz to 48 kHz, as WAV files
in folders. Each file is a pure function of its row in `CORPUS`, seeded by its path.
"""

import io
import os
import wave
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.demo import tunes
from pipeline.wav.pcm_bytes import pcm_bytes
from runtime import atomic_files, filesystem

# Raise it when the samples change, so that a corpus of an older version is rewritten.
_VERSION = 1
_MANIFEST = "MANIFEST.txt"


class _Recording(NamedTuple):
    """One file: its format, its peak and noise floor in dBFS, and what is played."""

    path: str
    sample_rate: int
    channels: int
    depth: int
    seconds: int
    peak_db: float
    floor_db: float
    play: Callable[[tunes.Track], None]

    @property
    def size(self) -> int:
        """Bytes of the file, 44 of them its header."""
        return 44 + self.sample_rate * self.seconds * self.channels * self.depth // 8


CORPUS = (
    _Recording("strings/arpeggio.wav", 44100, 2, 16, 20, -3, -66, tunes.arpeggio),
    _Recording("strings/walk.wav", 22050, 1, 16, 24, -6, -60, tunes.melody),
    _Recording("strings/lute.wav", 48000, 2, 24, 12, -9, -72, lambda t: tunes.melody(t, 50, 0.5)),
    _Recording(
        "strings/bass.wav", 32000, 1, 24, 12, -4, -66, lambda t: tunes.arpeggio(t, 33, 0.36)
    ),
    _Recording("percussion/shuffle.wav", 44100, 2, 16, 12, -2, -60, tunes.drums),
    _Recording("percussion/sampler.wav", 11025, 1, 8, 16, -3, -45, lambda t: tunes.drums(t, 0.28)),
    _Recording("percussion/marimba.wav", 48000, 1, 24, 16, -6, -72, tunes.marimba),
    _Recording(
        "percussion/kalimba.wav", 16000, 2, 16, 20, -10, -60, lambda t: tunes.marimba(t, 64, 0.2)
    ),
    _Recording("speech/telephone.wav", 8000, 1, 16, 24, -4, -48, lambda t: tunes.talk(t, (118, 0))),
    _Recording("speech/reading.wav", 16000, 1, 16, 24, -6, -54, lambda t: tunes.talk(t, (195, 0))),
    _Recording("speech/studio.wav", 24000, 1, 24, 16, -8, -66, lambda t: tunes.talk(t, (96, 0))),
    _Recording("speech/dialogue.wav", 22050, 2, 16, 20, -3, -54, tunes.dialogue),
    _Recording("band/rehearsal.wav", 44100, 2, 24, 16, -1, -60, tunes.band),
)


def synthesize_demo_corpus(
    directory: str,
    *,
    progress: Callable[[str], None] | None = None,
    recordings: Sequence[_Recording] = CORPUS,
) -> None:
    """Writes the demo corpus into `directory`, or leaves it alone where it is complete.

    Each file is written atomically, and the manifest last: whatever interrupted an earlier call,
    this one writes what is missing, truncated or of an older version.

    Args:
      directory: created if missing. Files that are not part of the corpus stay as they are.
      progress: called with the relative path of each file that was written.
      recordings: the files to write.

    Raises:
      OSError: `directory` cannot be written to.
    """
    manifest = os.path.join(directory, _MANIFEST)
    text = _manifest(recordings)
    same_version = _exists(manifest, len(text)) and filesystem.read_bytes(manifest) == text
    for recording in recordings:
        path = os.path.join(directory, *recording.path.split("/"))
        if same_version and _exists(path, recording.size):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        atomic_files.write_bytes_atomically(path, _wav_file(recording))
        if progress is not None:
            progress(recording.path)
    if not same_version:
        atomic_files.write_bytes_atomically(manifest, text)


def _exists(path: str, size: int) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == size


def _manifest(recordings: Sequence[_Recording]) -> bytes:
    lines = [f"wavestream demo corpus, version {_VERSION}, synthesized by pipeline/demo", ""]
    for recording in recordings:
        layout = "stereo" if recording.channels == 2 else "mono"
        lines.append(
            f"{recording.path}: {layout}, {recording.depth} bits, {recording.sample_rate} Hz, "
            f"{recording.seconds} s"
        )
    return "\n".join([*lines, ""]).encode()


def _wav_file(recording: _Recording) -> bytes:
    """The bytes of a recording's file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as writer:
        writer.setnchannels(recording.channels)
        writer.setsampwidth(recording.depth // 8)
        writer.setframerate(recording.sample_rate)
        writer.writeframesraw(pcm_bytes(_render(recording), recording.depth))
    return buffer.getvalue()


def _render(recording: _Recording) -> NDArray[np.int64]:
    """The samples of a recording, signed [F, C]."""
    rng = np.random.default_rng(zlib.crc32(recording.path.encode()))
    track = tunes.Track(rng, recording.sample_rate, recording.seconds)
    recording.play(track)
    frames = track.in_a_room()
    if recording.channels == 1:
        frames = frames.mean(axis=1, keepdims=True)
    frames *= 10 ** (recording.peak_db / 20) / np.abs(frames).max()
    frames += 10 ** (recording.floor_db / 20) * rng.uniform(-1, 1, frames.shape)
    full_scale = 2 ** (recording.depth - 1)
    # Triangular dither keeps signals below one quantization step audible in the noise.
    dither = rng.uniform(-0.5, 0.5, frames.shape) + rng.uniform(-0.5, 0.5, frames.shape)
    pcm = np.floor(frames * (full_scale - 1) + dither + 0.5).astype(np.int64)
    return pcm.clip(-full_scale, full_scale - 1)
