"""Mixtures of chunks, and chunks at other levels: more kinds of audio than there are files.

A pure function of (seed, number of the batch, row), however many hosts share the rows: a row is
mixed with its neighbour in the batch, row 2k with row 2k + 1.

What is made has the steps of what it is made of: of 8-bit audio that was read as 24 bits, the low
16 stay zero, since a model learns of 8 bits only where there are 8.

C channels, D local devices, L chunk size, R rows of this host, n frames.
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from models.interface import Batch
from models.native_scale import common_zeros
from pipeline.config import PipelineConfig
from pipeline.shuffle import hash_key
from runtime.errors import ConfigError
from runtime.stereo_blocks import locate
from training.config import AugmentationConfig

_KEY = 0x41756776  # Of all keys made from the seed, those of augmentation.
_PLACE = ("stop", "position", "frames", "channels", "block")
_PANNED = 0.4  # Of the mixtures of two mono chunks; the others stay mono.
_LEAST_GAIN, _LEAST_MIXED_GAIN, _LEAST_GAIN_OF_OTHER = 0.05, 0.2, 0.05


@dataclasses.dataclass(frozen=True)
class _Random:
    """Uniform numbers below 1 that belong to a row of a batch, in their order."""

    values: Iterator[float]

    def __call__(self, least: float = 0.0) -> float:
        return least + (1 - least) * next(self.values)

    @classmethod
    def of(cls, seed: int, number: int, row: int) -> "_Random":
        key = hash_key(0, seed, seed >> 32, _KEY, number, row)
        return cls(iter((hash_key(key, np.arange(16)) / 2**32).tolist()))


def make_augmentation(
    config: AugmentationConfig, pipeline: PipelineConfig, rows: tuple[int, int]
) -> Callable[[int, Batch], Batch]:
    """Returns a function from a batch and its number to the batch that is trained on.

    Args:
      config: how often to change what.
      pipeline: of the batches.
      rows: the rows [first, last) of the global batch that this host reads.

    Raises:
      ConfigError: rows cannot be mixed in pairs.
    """
    if config.mix_probability and (rows[0] % 2 or rows[1] % 2):
        raise ConfigError(
            f"--mix_probability={config.mix_probability} mixes pairs of chunks: expected an even "
            f"number of them on each host, got {rows[1] - rows[0]}; another --batch_size"
        )

    def augment(number: int, batch: Batch) -> Batch:
        merged = {name: x.reshape(-1, *x.shape[2:]).copy() for name, x in batch.items()}
        chunks = [_frames(merged, row) for row in range(rows[1] - rows[0])]
        for row, frames in enumerate(chunks):
            if frames is None:
                continue
            random = _Random.of(pipeline.seed, number, rows[0] + row)
            other = chunks[row ^ 1] if config.mix_probability else None
            changed = _change(config, frames, other, random, pipeline)
            if changed is not None:
                _write(merged, row, changed)
        return {name: x.reshape(batch[name].shape) for name, x in merged.items()}

    return augment


def _change(
    config: AugmentationConfig,
    frames: np.ndarray,  # [n, C]
    other: np.ndarray | None,  # [any, any]
    random: _Random,
    pipeline: PipelineConfig,
) -> np.ndarray | None:  # float64 [n, C], integers
    """Returns other frames in the place of those of a chunk; None: they stay."""
    choice = random()
    step = 2 ** common_zeros(frames)
    if choice < config.mix_probability:
        if other is None:
            return None
        step = 2 ** common_zeros(np.concatenate([frames.ravel(), other.ravel()]))
        can_pan = frames.shape[1] == 1 and not pipeline.downmix
        if random() < _PANNED and can_pan:
            frames = _pan(frames[: max(1, pipeline.chunk_size // 2)], random())
            other = _pan(other[:, :1], random())
        elif other.shape[1] != frames.shape[1]:
            other = other[:, :1]
        other = other[: len(frames)]
        mixed = frames * random(_LEAST_MIXED_GAIN)
        mixed[: len(other)] += other * random(_LEAST_GAIN_OF_OTHER)
        return _round(mixed, step, pipeline.depth)
    if random() < config.gain_probability:
        return _round(frames * random(_LEAST_GAIN), step, pipeline.depth)
    return None


def _pan(mono: np.ndarray, share: float) -> np.ndarray:  # [n, 1] -> [n, 2]
    return mono * np.array([share, 1 - share])


def _round(frames: np.ndarray, step: int, depth: int) -> np.ndarray:
    """Returns the nearest multiples of a step that the depth has."""
    full_scale = 2 ** (depth - 1) // step
    return np.clip(np.floor(frames / step + 0.5), -full_scale, full_scale - 1) * step


def _frames(batch: Batch, row: int) -> np.ndarray | None:  # [n, C]
    """Returns the frames of a chunk; None where it does not hold all channels of each."""
    stop, position, frames, channels, block = (int(batch[name][row]) for name in _PLACE)
    if stop <= 0 or stop % channels:
        return None
    samples = batch["samples"][row, :stop]
    channel, frame = locate(position + np.arange(stop), frames, channels, block)
    frame -= frame.min()
    if frame.max() >= (count := stop // channels):
        return None
    result = np.empty((count, channels), samples.dtype)
    result[frame, channel] = samples
    return result


def _write(batch: Batch, row: int, frames: np.ndarray) -> None:  # [n, C]
    """Makes a chunk the beginning of a stream of n frames."""
    count, channels = frames.shape
    samples = batch["samples"][row]
    channel, frame = locate(np.arange(frames.size), count, channels, int(batch["block"][row]))
    samples[:] = 0
    samples[: frames.size] = frames[frame, channel]
    values = {"first": 0, "stop": frames.size, "position": 0, "frames": count}
    for name, value in {**values, "channels": channels, "channel": 0}.items():
        batch[name][row] = value
