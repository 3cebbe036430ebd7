"""What a user wants to know of a corpus before training on it."""

import collections
from collections.abc import Iterable

import numpy as np

from pipeline.catalogue import Catalogue
from pipeline.chunks import Chunks
from pipeline.corpus import Corpus, describe_skipped
from pipeline.dataset import make_dataset
from pipeline.read import real_samples
from pipeline.wav import Encoding


def describe_files(corpus: Corpus) -> list[tuple[str, str]]:
    """Returns what the headers say, as rows of label and text."""
    files = corpus.catalogue
    seconds = files.frames / files.rates
    rows = [
        ("files", f"{len(files):,} with {_duration(seconds.sum())} of audio"),
        (
            "length of a file",
            f"{seconds.min():,.2f} to {seconds.max():,.2f} s, median {np.median(seconds):,.2f} s",
        ),
        ("rates", _tally(f"{rate:,} Hz" for rate in files.rates.tolist())),
        ("channels", _tally(map(_channels, files.channels.tolist()))),
        ("encodings", _tally(Encoding(code).label for code in files.encodings.tolist())),
    ]
    rows += describe_noted(files)
    if files.skipped:
        rows.append(("skipped", f"{len(files.skipped):,}: {describe_skipped(files.skipped, 20)}"))
    else:
        rows.append(("skipped", "none"))
    return rows


def describe_noted(files: Catalogue) -> list[tuple[str, str]]:
    """Returns what is used although something is wrong with it, as a row if there is any."""
    noted = [(path, note) for path, note in zip(files.paths, files.notes, strict=True) if note]
    return [("used, but", f"{len(noted):,}, such as {path!r} ({note})") for path, note in noted[:1]]


def describe_chunks(corpus: Corpus) -> list[tuple[str, str]]:
    """Returns how the corpus is split and cut, as rows of label and text."""
    config = corpus.train.config
    limit = corpus.train.limit
    capped = limit is not None and limit < int(corpus.train.first[-1])
    return [
        ("training", _side(corpus.train) + (" (the cap of --num_chunks)" if capped else "")),
        ("validation", _side(corpus.valid) if len(corpus.valid) else "none is held out"),
        (
            "steps per epoch",
            f"{corpus.steps_per_epoch:,.1f} of {config.batch_size:,} chunks"
            f" of {config.chunk_size:,} samples",
        ),
    ]


def describe_batch(corpus: Corpus) -> list[tuple[str, str]]:
    """Returns what one batch looks like, as rows of label and text; reads it."""
    batch = next(make_dataset(corpus.train).take(1).as_numpy_iterator())
    symbols = batch["symbols"]
    real = symbols[real_samples(batch["lengths"], symbols.shape[-1])]
    config = corpus.train.config
    used = (
        f"; symbols from {real.min()} to {real.max()}, mean {real.mean():.1f}" if real.size else ""
    )
    return [
        (
            "one batch",
            f"{symbols.dtype} {list(symbols.shape)} (devices, chunks, samples){used}"
            f" of 0 to {2**config.bits - 1}; silence is {2 ** (config.bits - 1)};"
            f" {1 - real.size / symbols.size:.1%} is padding",
        )
    ]


def _side(chunks: Chunks) -> str:
    counts = {
        "file": len(chunks.catalogue),
        "chunk": len(chunks),
        "sample": chunks.num_samples,
    }
    return ", ".join(f"{count:,} {noun}{'s' * (count != 1)}" for noun, count in counts.items())


def _duration(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.2f} seconds"


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def _tally(values: Iterable[str]) -> str:
    counts = collections.Counter(values).most_common()
    if len(counts) == 1:
        return f"all {counts[0][0]}"
    return ", ".join(f"{value} ({count:,})" for value, count in counts)
