"""Describes a corpus to a user before training on it."""

import collections
import re
from collections.abc import Callable

import numpy as np

from pipeline.catalogue.catalogue import Catalogue, Skipped
from pipeline.corpus import Corpus, describe_skipped
from pipeline.dataset import make_dataset
from pipeline.iterate import iterate
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import UNREADABLE, is_scored
from pipeline.wav.encoding import Encoding
from runtime.formatting import format_duration

_MOST_VALUES = 10  # in one line, such as sample rates
_MOST_KINDS = 5  # of notes


def describe_files(corpus: Corpus) -> list[tuple[str, str]]:
    """Summarizes the headers, as rows of label and text."""
    files, table = corpus.catalogue, corpus.catalogue.files
    seconds = files.take(table.frames) / files.take(table.sample_rates)
    skipped = f"{len(files.skipped):,}: {describe_skipped(files.skipped, 20)}"
    return [
        ("files", f"{len(files):,} with {format_duration(seconds.sum())} of audio"),
        (
            "length of a file",
            f"{seconds.min():,.2f} to {seconds.max():,.2f} s, median {np.median(seconds):,.2f} s",
        ),
        ("sample rates", _tally(files.take(table.sample_rates), lambda hertz: f"{hertz:,} Hz")),
        ("channels", _tally(files.take(table.channels), _channels)),
        ("encodings", _tally(files.take(table.encodings), lambda code: Encoding(code).label)),
        *describe_noted(files),
        ("skipped", skipped if files.skipped else "none"),
    ]


def describe_noted(files: Catalogue) -> list[tuple[str, str]]:
    """Returns a row on files that are used although something is wrong with them, if any.

    An example stands for all notes that differ in their numbers only.
    """
    kinds: dict[str, list[int]] = collections.defaultdict(list)
    for file in np.flatnonzero(files.notes.lengths()).tolist():
        kinds[re.sub(r"[\d.,e+-]*\d", "0", files.notes[file])].append(file)
    if not kinds:
        return []
    by_count = sorted(kinds.values(), key=len, reverse=True)
    # All of a kind in the words of one, and a kind that is left over in those of all.
    noted = [Skipped(files.paths[f], files.notes[kind[0]]) for kind in by_count for f in kind]
    return [("warnings", f"{len(noted):,}: {describe_skipped(noted, _MOST_KINDS)}")]


def describe_chunks(corpus: Corpus) -> list[tuple[str, str]]:
    """Returns how the corpus is split and divided into chunks, as rows of label and text."""
    config = corpus.train.config
    capped = len(corpus.train) < len(corpus.all_train)
    return [
        ("training", _sizes(corpus.train) + (" (limited by --num_chunks)" if capped else "")),
        ("validation", _describe_held_out(corpus)),
        (
            "epoch",
            f"{corpus.batches_per_epoch:,.1f} batches of {config.batch_size:,} chunks"
            f" of {config.chunk_size:,} samples",
        ),
    ]


def _describe_held_out(corpus: Corpus) -> str:
    if not len(corpus.valid):
        return "no file is held out"
    text = f"{_sizes(corpus.valid)}, {corpus.held_out:.1%} of all"
    if abs(corpus.held_out - corpus.valid_fraction) > corpus.valid_fraction / 2:
        text += (
            f" (--valid_fraction={corpus.valid_fraction:g}: whole files are held out, by hashes of "
            "their names, and few or unequal ones may miss it by far; another --seed holds out "
            "others)"
        )
    return text


def describe_batch(corpus: Corpus) -> list[tuple[str, str]]:
    """Reads a batch and returns its shape and range, as rows of label and text."""
    failed: dict[str, str] = {}  # Files of a catalogue may have gone since it was made.
    dataset = make_dataset(corpus.train, on_unreadable=failed.__setitem__)
    batch = next(iterate(dataset.take(1)))
    samples = batch["samples"]
    scored = samples[is_scored(batch)]
    full_scale = 2 ** (corpus.train.config.depth - 1)
    text = f"{samples.dtype} {list(samples.shape)} (devices, chunks, samples)"
    if scored.size:
        text += f"; from {scored.min()} to {scored.max()}, mean {scored.mean():.1f}"
    text += f" of {-full_scale} to {full_scale - 1}"
    if size := samples[batch["stop"] != UNREADABLE].size:
        text += f"; {1 - scored.size / size:.1%} is padding"
    rows = [("one batch", text)]
    if skipped := [Skipped(*item) for item in list(failed.items())]:
        rows.append(("unreadable", f"{len(skipped):,}: {describe_skipped(skipped, 20)}"))
    return rows


def _sizes(chunks: Chunks) -> str:
    counts = {"file": len(chunks.catalogue), "chunk": len(chunks), "sample": chunks.num_samples}
    return ", ".join(f"{count:,} {noun}{'s' * (count != 1)}" for noun, count in counts.items())


def _channels(count: int) -> str:
    return {1: "mono", 2: "stereo"}.get(count, f"{count} channels")


def _tally(values: np.ndarray, label: Callable[[int], str]) -> str:
    """Returns the labels of values with their counts, most frequent first, a few of many."""
    values, counts = np.unique(values, return_counts=True)
    if len(values) == 1:
        return f"all {label(int(values[0]))}"
    order = np.argsort(-counts, kind="stable")
    texts = [f"{label(int(values[i]))} ({counts[i]:,})" for i in order[:_MOST_VALUES]]
    if len(rest := order[_MOST_VALUES:]):
        texts.append(f"{len(rest):,} others ({counts[rest].sum():,})")
    return ", ".join(texts)
