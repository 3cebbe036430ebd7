"""Bits per sample of a model on files: every sample of them, each exactly once.

Symbols' nats are computed in float32 on the devices and summed in float64 here, chunk by chunk in
the order of the corpus, so that batches and devices do not matter. D devices, B batch, L chunk
size, N files, V vocabulary, R rows: the chunks of one file in a batch.
"""

import dataclasses
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from evaluation.results import Bins, Evaluation
from evaluation.scoring import make_score
from models.networks.transformer import Transformer
from pipeline.catalogue.catalogue import Catalogue, Progress, Skipped
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.error_budget import ErrorBudget
from pipeline.reading.chunks import Chunks
from pipeline.reading.read_chunks import real_samples

_LOUDNESS = np.array([-np.inf, *range(-96, 1, 6)], np.float64)  # dB
_BYTE = 256


class _Rows(NamedTuple):
    """Chunks of one file."""

    file: int
    symbols: np.ndarray  # uint8 or uint16 [R, L]
    lengths: np.ndarray  # int32 [R]
    nats: np.ndarray  # float32 [R, L, G]


def evaluate(
    model: Transformer,
    params: Any,
    catalogue: Catalogue,
    config: PipelineConfig,
    *,
    limit: ErrorBudget | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measures how many bits a model needs for the samples of a catalogue's files.

    Args:
      model: the model.
      params: its parameters, as `load_model` gives them.
      catalogue: the files.
      config: how they become symbols, which must be how they did in training. Its `batch_size` is
        rounded up to a multiple of the local devices; the figures do not depend on it.
      limit: names the files that cannot be read, and how many they may be; None: all but one.
      progress: shows how far it is, in batches.

    Returns:
      The figures, those of other codecs left empty. A file that cannot be read to its end is in
      `skipped`, and no part of it is in any figure.

    Raises:
      ValueError: there is nothing to evaluate, or too little of it could be read.
      FloatingPointError: the model gives a sample a cost that is no number.
    """
    begin = time.perf_counter()
    devices = jax.local_device_count()
    batch_size = -(-config.batch_size // devices) * devices
    chunks = Chunks(catalogue=catalogue, config=dataclasses.replace(config, batch_size=batch_size))
    if not len(chunks):
        raise ValueError("there is nothing to evaluate: the catalogue is empty")
    if limit is None:
        limit = ErrorBudget(len(catalogue), (), strict=False, max_fraction=1.0)
    # The whole symbol; and its upper byte, if it has one.
    group_sizes = (1, _BYTE) if config.use_16bit else (1,)
    batches = make_dataset(
        chunks,
        one_pass=True,
        shuffle=False,
        num_devices=devices,
        on_unreadable=limit.add,
    ).as_numpy_iterator()
    scored = _scored(batches, make_score(model, params, group_sizes))
    tally = _Tally(catalogue, config)
    for rows in _by_file(scored, chunks, progress):
        tally.add(rows)
        if problem := limit.exceeded():
            raise ValueError(problem)
    tally.close_file()
    return tally.result(dict(limit.skipped), time.perf_counter() - begin)


def _scored(batches: Iterable[dict], score: Any) -> Iterator[tuple[dict, np.ndarray]]:
    """Yields batches and their nats, [B, ...]; the devices work on the next while one is used."""
    waiting: list[tuple[dict, jax.Array]] = []
    for batch in batches:
        waiting.append((batch, score(batch["symbols"])))
        if len(waiting) > 1:
            yield _on_host(*waiting.pop(0))
    for pair in waiting:
        yield _on_host(*pair)


def _on_host(batch: dict, nats: jax.Array) -> tuple[dict, np.ndarray]:
    flat = {name: array.reshape(-1, *array.shape[2:]) for name, array in batch.items()}
    return flat, np.asarray(nats).reshape(-1, *nats.shape[2:])


def _by_file(
    scored: Iterable[tuple[dict, np.ndarray]], chunks: Chunks, progress: Progress | None
) -> Iterator[_Rows]:
    """Parts batches where a file ends."""
    size = chunks.config.batch_size
    steps = -(-len(chunks) // size)
    for step, (batch, nats) in enumerate(progress(scored, steps) if progress else scored):
        chunk = np.arange(step * size, min((step + 1) * size, len(chunks)))
        file = chunks.files_of(chunk)
        starts = np.flatnonzero(np.diff(file, prepend=-1))
        for start, end in zip(starts, [*starts[1:], len(chunk)], strict=True):
            part = slice(start, end)
            yield _Rows(
                int(file[start]), batch["symbols"][part], batch["lengths"][part], nats[part]
            )


class _Sums:
    """What is summed over chunks."""

    def __init__(self, config: PipelineConfig):
        self.position_edges = _position_edges(config.chunk_size)
        self.position_bits = np.zeros(len(self.position_edges) - 1)
        self.position_samples = np.zeros(len(self.position_edges) - 1, np.int64)
        self.loudness_bits = np.zeros(len(_LOUDNESS) - 1)
        self.loudness_samples = np.zeros(len(_LOUDNESS) - 1, np.int64)
        self.upper_bits = 0.0
        self.symbol_counts = np.zeros(2**config.bits, np.int64)

    def add(self, rows: _Rows) -> None:
        """Adds chunks that could be read."""
        real = real_samples(rows.lengths, rows.symbols.shape[1])
        bits = np.where(real[..., np.newaxis], rows.nats, 0).astype(np.float64) / math.log(2)
        starts = self.position_edges[:-1]
        self.position_bits += np.add.reduceat(bits[..., 0].sum(0), starts)
        self.position_samples += np.add.reduceat(real.sum(0), starts)
        bins = _loudness_bins(rows.symbols, real, len(self.symbol_counts) // 2)
        np.add.at(self.loudness_bits, bins, bits[..., 0].sum(1))
        np.add.at(self.loudness_samples, bins, rows.lengths)
        if bits.shape[-1] > 1:
            self.upper_bits += bits[..., 1].sum()
        self.symbol_counts += np.bincount(rows.symbols[real], minlength=len(self.symbol_counts))

    def merge(self, other: "_Sums") -> None:
        """Adds the sums of other chunks, but for those that are kept by file."""
        self.position_bits += other.position_bits
        self.position_samples += other.position_samples
        self.loudness_bits += other.loudness_bits
        self.loudness_samples += other.loudness_samples
        self.symbol_counts += other.symbol_counts


class _Tally:
    """Sums over files; those of a file count when all of it was read."""

    def __init__(self, catalogue: Catalogue, config: PipelineConfig):
        self._catalogue = catalogue
        self._config = config
        self._all = _Sums(config)
        self._file = -1
        self._sums = _Sums(config)
        self._readable = True
        self._bits = np.full(len(catalogue), np.nan)
        self._upper_bits = np.zeros(len(catalogue))
        self._samples = np.zeros(len(catalogue), np.int64)

    def add(self, rows: _Rows) -> None:
        """Adds chunks of the file at hand or of one behind it."""
        if rows.file != self._file:
            self.close_file()
            self._file, self._sums, self._readable = rows.file, _Sums(self._config), True
        self._readable = self._readable and bool((rows.lengths >= 0).all())
        if self._readable:
            self._sums.add(rows)

    def close_file(self) -> None:
        """Counts the file at hand, if it was read."""
        if self._file < 0 or not self._readable:
            return
        bits = self._sums.position_bits.sum()
        if not math.isfinite(bits):
            raise FloatingPointError(
                f"{self._catalogue.paths[self._file]!r}: the model puts its cost at {bits} bits; "
                "expected a number: the model is broken"
            )
        self._bits[self._file] = bits
        self._upper_bits[self._file] = self._sums.upper_bits
        self._samples[self._file] = self._sums.position_samples.sum()
        self._all.merge(self._sums)

    def result(self, reasons: dict[str, str], seconds: float) -> Evaluation:
        """Returns the figures of the files that were read."""
        catalogue, sums = self._catalogue, self._all
        read = np.flatnonzero(np.isfinite(self._bits))
        lost = tuple(
            Skipped(path, reasons.get(path, "it could not be read"))
            for path, bits in zip(catalogue.paths, self._bits, strict=True)
            if math.isnan(bits)
        )
        if not len(read):
            raise ValueError(f"none of the files could be read; {lost[0].path!r}: {lost[0].reason}")
        return Evaluation(
            names=tuple(catalogue.names[file] for file in read),
            samples=self._samples[read],
            model_bits=self._bits[read],
            raw_bits=self._config.bits,
            by_position=Bins(
                edges=sums.position_edges.astype(np.float64),
                samples=sums.position_samples,
                bits=sums.position_bits,
            ),
            by_loudness=Bins(
                edges=_LOUDNESS, samples=sums.loudness_samples, bits=sums.loudness_bits
            ),
            upper_byte_bits=self._upper_bits[read] if self._config.use_16bit else None,
            symbol_counts=sums.symbol_counts,
            skipped=lost,
            seconds=seconds,
        )


def _position_edges(chunk_size: int) -> np.ndarray:  # int64 [K + 1], from 0 to chunk_size
    """Four bins an octave: what context buys shows on a logarithmic scale."""
    octaves = math.log2(chunk_size)
    powers = 2.0 ** (np.arange(math.ceil(4 * octaves)) / 4)
    return np.unique([0, *powers.astype(np.int64), chunk_size])


def _loudness_bins(
    symbols: np.ndarray,  # [R, L]
    real: np.ndarray,  # bool [R, L]
    full_scale: int,
) -> np.ndarray:  # int64 [R]
    amplitudes = np.where(real, symbols.astype(np.float64) / full_scale - 1, 0)
    power = (amplitudes**2).sum(1) / np.maximum(real.sum(1), 1)
    with np.errstate(divide="ignore"):  # Digital silence is -inf dB.
        decibels = 10 * np.log10(power)
    last = len(_LOUDNESS) - 2  # A square wave of full scale is at 0 dB.
    return np.minimum(np.digitize(decibels, _LOUDNESS[1:]), last)
