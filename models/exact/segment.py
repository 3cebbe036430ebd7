"""Segments: what is coded alone, with predictors that start anew.

n frames, C channels.
"""

import numpy as np

from models.config import AdaptiveModelConfig
from models.exact.network import ExactMlp
from models.exact.stream import code_channel, init_stream


def segment_frequencies(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
) -> tuple[np.ndarray, int]:
    """Returns the frequency of each sample, int64 [n, C], and the total of all samples'."""
    channels = np.ascontiguousarray(frames.T, np.int32)
    frequencies = np.empty(channels.shape, np.int64)
    total = 0
    for channel, samples in enumerate(channels):
        other = channels[channel - 1] if channel else np.zeros(0, np.int32)
        stream = init_stream(config, network, stereo=channel > 0)
        total = code_channel(stream, samples, other, frequencies[channel])
    return frequencies.T, total


def segment_bits(
    config: AdaptiveModelConfig,
    network: ExactMlp,
    frames: np.ndarray,  # signed integers [n, C]
) -> np.ndarray:  # float32 [n, C]
    """Returns what each sample of a segment costs in bits."""
    frequencies, total = segment_frequencies(config, network, frames)
    return (np.log2(total) - np.log2(frequencies)).astype(np.float32)
