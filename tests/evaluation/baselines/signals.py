"""Samples for codecs."""

import shutil

import numpy as np
import pytest

from evaluation.baselines.pcm import PcmFormat


def music(frames: int, channels: int, depth: int) -> np.ndarray:  # int32 [F, C]
    """A chord that fades, under noise; the channels resemble each other."""
    rng = np.random.default_rng(frames)
    time = np.arange(frames)[:, np.newaxis]
    chord = sum(np.sin(time * pitch) for pitch in (0.031, 0.039, 0.047, 0.062))
    samples = chord * np.exp(-3 * time / frames) / 8 + rng.normal(0, 0.004, (frames, channels))
    return (samples * 2 ** (depth - 1)).astype(np.int32)


def stream(samples: np.ndarray, depth: int) -> tuple[PcmFormat, list[np.ndarray]]:
    """The arguments of a codec's `encode`."""
    frames, channels = samples.shape
    return PcmFormat(sample_rate=44100, channels=channels, depth=depth, frames=frames), [samples]


def require(program: str) -> None:
    """Skips the test where a program is not on the PATH."""
    if not shutil.which(program):
        pytest.skip(f"{program} is not on the PATH")
