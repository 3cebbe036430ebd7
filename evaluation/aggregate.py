"""Sums the nats of samples into the figures of an evaluation.

N files, L samples in a row, K bins, R rows.
"""

import collections
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from evaluation.names import distinct_names
from evaluation.results import Bins, Evaluation
from evaluation.statistics import SampleHistogram
from pipeline.catalogue.catalogue import Catalogue, Skipped
from pipeline.config import PipelineConfig
from runtime.errors import DataError

_LOUDNESS_EDGES = np.array([-np.inf, *range(-96, 1, 6)], np.float64)  # dB of full scale


class Rows(NamedTuple):
    """Some chunks of one file, or the channels of a segment of it.

    Attributes:
      file: its index.
      samples: signed integers [R, L].
      mask: bool [R, L], which of them are scored.
      is_readable: whether all of them could be read.
      nats: float32 [R, L] each, the parts of each sample's cost by name.
    """

    file: int
    samples: np.ndarray
    mask: np.ndarray
    is_readable: bool
    nats: dict[str, np.ndarray]


class _Sums:
    """Sums over chunks."""

    def __init__(self, config: PipelineConfig, length: int) -> None:
        self._chunk_size = config.chunk_size
        self.by_position = _empty_bins(_position_edges(length))
        self.by_loudness = _empty_bins(_LOUDNESS_EDGES)
        self.part_bits: collections.Counter[str] = collections.Counter()
        self.histogram = SampleHistogram()
        self._full_scale = 2 ** (config.depth - 1)

    def add(self, rows: Rows) -> None:
        """Adds rows that could be read."""
        mask, bits = rows.mask, np.zeros(rows.mask.shape)
        for name, nats in rows.nats.items():
            # In float64: the rounding errors of millions of float32 would show.
            part = np.where(mask, nats, 0).astype(np.float64) / math.log(2)
            self.part_bits[name] += part.sum()
            bits += part
        starts = self.by_position.edges[:-1].astype(np.int64)
        used = slice(np.searchsorted(starts, mask.shape[1]))
        self.by_position.bits[used] += np.add.reduceat(bits.sum(0), starts[used])
        self.by_position.samples[used] += np.add.reduceat(mask.sum(0), starts[used])
        self.histogram.add(rows.samples[mask])
        samples, mask, bits = (_cut(x, self._chunk_size) for x in (rows.samples, mask, bits))
        bins = _loudness_bins(samples, mask, self._full_scale)
        # Not `[bins] +=`, which adds once where several chunks are in the same bin.
        np.add.at(self.by_loudness.bits, bins, bits.sum(1))
        np.add.at(self.by_loudness.samples, bins, mask.sum(1))

    def merge(self, other: "_Sums") -> None:
        """Adds the sums of other chunks, except `part_bits`, which are kept by file."""
        for own, added in [
            (self.by_position, other.by_position),
            (self.by_loudness, other.by_loudness),
        ]:
            own.bits[:] += added.bits
            own.samples[:] += added.samples
        self.histogram.merge(other.histogram)


class Aggregator:
    """Sums over files."""

    def __init__(
        self, catalogue: Catalogue, config: PipelineConfig, length: int | None = None
    ) -> None:
        """Begins without a file.

        Args:
          catalogue: the files.
          config: how they become samples.
          length: L; None: `chunk_size`.
        """
        self._catalogue = catalogue
        self._config = config
        self._length = length or config.chunk_size
        self._all = _Sums(config, self._length)
        # NaN where a file was not added.
        self._bits = np.full(len(catalogue), np.nan)
        self._samples = np.zeros(len(catalogue), np.int64)
        self._parts: dict[str, np.ndarray] = {}

    def add_file(self, file: int, chunks: Iterable[Rows]) -> None:
        """Adds a file as a whole, or not at all if a part of it could not be read.

        Raises:
          DataError: its cost is not finite.
        """
        # Of the file alone: what comes last in it may be unreadable.
        sums = _Sums(self._config, self._length)
        for rows in chunks:
            if not rows.is_readable:
                return
            sums.add(rows)
        bits = sums.by_position.bits.sum()
        if not math.isfinite(bits):
            raise DataError(
                f"{self._catalogue.paths[file]!r}: its cost under the model is {bits} bits, "
                "expected a finite number: the model has diverged, train it again"
            )
        self._bits[file] = bits
        self._samples[file] = sums.by_position.samples.sum()
        # The names of the parts are the model's, and known with its first file.
        for name, part in sums.part_bits.items():
            self._parts.setdefault(name, np.zeros(len(self._bits)))[file] = part
        self._all.merge(sums)

    def results(self, reasons: dict[str, str], wall_time_s: float) -> Evaluation:
        """Returns the evaluation of the files that were read.

        Args:
          reasons: why files could not be read, by path.
          wall_time_s: time that the model took, in seconds.

        Raises:
          DataError: no file could be read.
        """
        catalogue, sums = self._catalogue, self._all
        read = np.flatnonzero(np.isfinite(self._bits))
        skipped = tuple(
            Skipped(path, reasons.get(path, "it could not be read"))
            for path, bits in zip(catalogue.paths, self._bits, strict=True)
            if math.isnan(bits)
        )
        if not len(read):
            path, reason = skipped[0]
            raise DataError(f"none of the files could be read; {path!r}: {reason}")
        return Evaluation(
            names=distinct_names(
                [catalogue.names[file] for file in read], [catalogue.paths[file] for file in read]
            ),
            samples=self._samples[read],
            model_bits=self._bits[read],
            depth=self._config.depth,
            by_position=sums.by_position,
            by_loudness=sums.by_loudness,
            cost_parts={name: bits[read] for name, bits in self._parts.items()},
            order0_bits_per_sample=sums.histogram.order0_bits_per_sample,
            skipped=skipped,
            wall_time_s=wall_time_s,
        )


def _cut(rows: np.ndarray, size: int) -> np.ndarray:  # [R, L] -> [R * pieces, size]
    padding = -rows.shape[1] % size
    return np.pad(rows, ((0, 0), (0, padding))).reshape(-1, size)


def _empty_bins(edges: np.ndarray) -> Bins:
    bins = len(edges) - 1
    return Bins(edges=edges, samples=np.zeros(bins, np.int64), bits=np.zeros(bins))


def _position_edges(length: int) -> np.ndarray:  # float64 [K + 1], from 0 to length
    """Four bins per octave: the gain from context shows on a logarithmic scale."""
    octaves = math.log2(length)
    powers = 2.0 ** (np.arange(math.ceil(4 * octaves)) / 4)
    # The lowest octaves have fewer than four integers.
    return np.unique([0, *powers.astype(np.int64), length]).astype(np.float64)


def _loudness_bins(
    samples: np.ndarray,  # [R, L]
    mask: np.ndarray,  # bool [R, L]
    full_scale: int,
) -> np.ndarray:  # int64 [R]
    """Returns the bin of each chunk's RMS level."""
    amplitudes = np.where(mask, samples / full_scale, 0)
    power = (amplitudes**2).sum(1) / np.maximum(mask.sum(1), 1)
    with np.errstate(divide="ignore"):  # Digital silence is -inf dB.
        decibels = 10 * np.log10(power)
    last = len(_LOUDNESS_EDGES) - 2  # A square wave of full scale is at 0 dB.
    return np.minimum(np.digitize(decibels, _LOUDNESS_EDGES[1:]), last)
