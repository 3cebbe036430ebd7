"""Encodes files with other codecs and counts the bits.

N files.
"""

import collections
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from evaluation.baselines.pcm import Codec, CodecError, Encoded, PcmFormat
from evaluation.results import CodecScore
from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import UNREADABLE
from pipeline.reading.read_samples import depth_of, read_samples
from runtime.progress import Progress, no_progress
from runtime.threads import map_in_threads

_MAX_THREADS = 8  # xz takes 0.7 GB in each
_TASKS_AHEAD = 64  # keeps the threads busy behind a slow task, since results come in order
_MAX_REASONS = 5  # a reason may name numbers of its file, and so be another for each

Outcome = Encoded | str
"""The size of an encoded stream, or why there is none."""


def score_files(
    catalogue: Catalogue,
    codecs: Sequence[Codec],
    config: PipelineConfig | None = None,
    progress: Progress = no_progress,
    num_threads: int | None = None,
) -> list[CodecScore]:
    """Encodes every file with every codec.

    Args:
      catalogue: the files.
      codecs: see `libraries.all_codecs`.
      config: encode the samples that the model reads; None: the files' own.
      progress: shows the files done, over all codecs.
      num_threads: streams encoded in parallel; by default one per core, at most 8.

    Returns:
      The scores in the order of the codecs. A file that a codec cannot encode, or that can no
      longer be read, is NaN there, with the reason in the remark.
    """
    num_files = len(catalogue)
    formats = [_format(catalogue, file, config) for file in range(num_files)]

    def encode(task: tuple[int, int]) -> tuple[int, int, Outcome]:
        codec, file = task
        blocks = read_samples(catalogue, file, config)
        return codec, file, _encode_or_reason(codecs[codec], formats[file], blocks)

    # Pairs, not files: with a few long files all cores have work.
    tasks = itertools.product(range(len(codecs)), range(num_files))
    outcomes = map_in_threads(encode, tasks, num_threads or _default_threads(), ahead=_TASKS_AHEAD)
    samples = np.array([pcm.frames * pcm.channels for pcm in formats], np.int64)
    depths = np.array([pcm.depth for pcm in formats], np.int64)
    return _scores(codecs, samples, depths, progress(outcomes, len(codecs) * num_files))


def score_chunks(
    chunks: Chunks,
    codecs: Sequence[Codec],
    progress: Progress = no_progress,
    num_threads: int | None = None,
) -> list[CodecScore]:
    """Encodes every chunk as a separate stream, of one channel and without its padding.

    Args:
      chunks: the chunks that the model reads.
      codecs: programs among them are ignored: starting one per chunk takes too long.
      progress: shows the chunks done.
      num_threads: chunks encoded in parallel; by default one per core, at most 8.

    Returns:
      The scores of the codecs that run in this process, in their order; see `score_files`.
    """
    catalogue, depth = chunks.catalogue, chunks.config.depth
    in_process = [codec for codec in codecs if codec.in_process]

    def encode(task: tuple[int, np.ndarray | str]) -> list[tuple[int, int, Outcome]]:
        file, samples = task
        if isinstance(samples, str):
            return [(codec, file, samples) for codec in range(len(in_process))]
        sample_rate = int(catalogue.sample_rates[file])
        pcm = PcmFormat(sample_rate=sample_rate, channels=1, depth=depth, frames=len(samples))
        return [
            (number, file, _encode_or_reason(codec, pcm, [samples]))
            for number, codec in enumerate(in_process)
        ]

    outcomes = map_in_threads(
        encode, _read_chunks(chunks), num_threads or _default_threads(), ahead=_TASKS_AHEAD
    )
    samples = catalogue.frames * chunks.kept_channels
    depths = np.full(len(catalogue), depth, np.int64)
    in_order = itertools.chain.from_iterable(progress(outcomes, len(chunks)))
    return _scores(in_process, samples, depths, in_order)


def _format(catalogue: Catalogue, file: int, config: PipelineConfig | None) -> PcmFormat:
    return PcmFormat(
        sample_rate=int(catalogue.sample_rates[file]),
        channels=1 if config and config.downmix else int(catalogue.channels[file]),
        depth=depth_of(catalogue, file, config),
        frames=int(catalogue.frames[file]),
    )


def _read_chunks(chunks: Chunks) -> Iterator[tuple[int, np.ndarray | str]]:
    """Yields each chunk's file and samples, int32 [L, 1] without padding, or an error."""
    reasons: dict[str, str] = {}
    dataset = make_dataset(chunks, one_pass=True, shuffle=False, on_unreadable=reasons.__setitem__)
    size = chunks.config.batch_size
    for step, batch in enumerate(iterate(dataset)):
        files = chunks.files_of(np.arange(step * size, (step + 1) * size)).tolist()
        rows = zip(files, batch["samples"][0], batch["stop"][0], strict=True)
        for file, samples, stop in rows:
            # A `stop` of 0 is padding of the last batch.
            if stop == UNREADABLE:
                path = chunks.catalogue.paths[file]
                yield file, f"{path!r} can no longer be read: {reasons.get(path)}"
            elif stop:
                yield file, samples[:stop, np.newaxis].astype(np.int32)


def _encode_or_reason(codec: Codec, pcm: PcmFormat, blocks: Iterable[np.ndarray]) -> Outcome:
    try:
        return codec.encode(pcm, blocks)
    except OSError as error:
        return error.strerror or str(error)
    except CodecError as error:
        return str(error)


def _scores(
    codecs: Sequence[Codec],
    samples: np.ndarray,  # [N]
    depth: np.ndarray,  # [N]
    outcomes: Iterable[tuple[int, int, Outcome]],  # of codecs and files, by their numbers
) -> list[CodecScore]:
    """Sums the streams of each file. One that cannot be encoded leaves its file without a size."""
    bits = np.zeros((len(codecs), len(samples)))
    container_bits = np.zeros_like(bits)
    reasons: list[dict[int, str]] = [{} for _ in codecs]
    for codec, file, outcome in outcomes:
        if isinstance(outcome, str):
            reasons[codec][file] = outcome
            bits[codec, file] = container_bits[codec, file] = np.nan
        else:
            # An unknown container (NaN) stays in the bits.
            audio_bytes = outcome.total_bytes - np.nan_to_num(outcome.container_bytes)
            bits[codec, file] += 8 * audio_bytes
            container_bits[codec, file] += 8 * outcome.container_bytes
    return [
        CodecScore(
            codec=codec.name,
            version=codec.version,
            bits=bits[number],
            container_bits=container_bits[number],
            samples=samples,
            depth=depth,
            remark=_remark(reasons[number].values(), len(samples)),
        )
        for number, codec in enumerate(codecs)
    ]


def _remark(reasons: Iterable[str], num_files: int) -> str:
    """Returns the reasons of the files that could not be encoded, the most frequent first."""
    counts = collections.Counter(reasons).most_common()
    remarks = [f"{count} of {num_files} files: {reason}" for reason, count in counts[:_MAX_REASONS]]
    if rest := sum(count for _, count in counts[_MAX_REASONS:]):
        remarks.append(f"{rest} of {num_files} files: other reasons")
    return "; ".join(remarks)


def _default_threads() -> int:
    # Threads, not processes: the encoders, libraries and programs, run without Python's lock.
    return min(os.cpu_count() or 1, _MAX_THREADS)
