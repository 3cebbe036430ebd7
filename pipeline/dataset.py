"""The graph: from the numbers of shuffle windows to batches of samples.

Nothing is shuffled in a buffer: which chunk comes where is arithmetic (see `shuffle`), so the graph
starts at any step without replaying the steps before it. Its unit of reading is a run of
consecutive chunks, its unit of shuffling a window of K steps.

B global batch, D devices of this host, L chunk size, K steps in a window, R rows of this host.
"""

import os
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from pipeline.reading.byte_ranges import OnUnreadable
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.python_calls import PLAN, call_python
from pipeline.reading.read_chunks import Batch, corpus_formats, read_chunks
from pipeline.reading.window_plan import (
    CHUNK_COLUMNS,
    READ_COLUMNS,
    Windows,
    plan_inputs,
    plan_window,
)
from pipeline.shuffle import SequentialOrder, ShuffledOrder

# Calls in flight: enough to hide the latency of a disk; a bucket needs more.
_PARALLEL_READS = max(4, 2 * (os.cpu_count() or 1))

_END = 2**62  # In chunks: training is endless.

# There is no Python control flow to convert, and AutoGraph takes a second to find that out.
_no_autograph = tf.autograph.experimental.do_not_convert

Stage = Callable[[tf.data.Dataset], tf.data.Dataset]


def make_dataset(
    chunks: Chunks,
    *,
    first_step: int = 0,
    one_pass: bool = False,
    shuffle: bool = True,
    max_chunks: int | None = None,
    num_devices: int = 1,
    rows: tuple[int, int] | None = None,
    parallel_reads: int = _PARALLEL_READS,
    on_unreadable: OnUnreadable | None = lambda path, reason: None,
    numbered: bool = False,
) -> tf.data.Dataset:
    """Streams batches.

    Args:
      chunks: what to read. Batch k is a pure function of these and k.
      first_step: k of the first batch, such as that of a resumed run.
      one_pass: end after every chunk came once; the last batch is filled up with chunks of which
        no sample is scored. Otherwise the dataset is infinite, and each epoch begins at the row
        after the last one's end.
      shuffle: if False, row b of batch k is chunk `k * batch_size + b` (modulo the epoch).
      max_chunks: without `shuffle`, an epoch is at most so many chunks, evenly spaced over all.
      num_devices: D.
      rows: the rows [first, last) of the global batch that this host reads; all by default.
      parallel_reads: reads in flight.
      on_unreadable: called with the path of a file that can no longer be read, and the reason.
        None makes a graph for another process, see `python_calls.serve_python`.
      numbered: add the number k of each batch, as `step`.

    Returns:
      A dataset of batches: the arrays of `read_chunks.read_chunks`, each [D, R / D, ...].

    Raises:
      ValueError: there are no chunks, or R is not a multiple of D.
    """
    rows = rows or (0, chunks.config.batch_size)
    num_rows = rows[1] - rows[0]
    if not len(chunks):
        raise ValueError("there are no chunks to read: the catalogue is empty")
    if num_rows % num_devices:
        raise ValueError(f"{num_rows} rows cannot be split over {num_devices} devices evenly")
    order = make_order(chunks, one_pass=one_pass, shuffle=shuffle, max_chunks=max_chunks)
    windows = Windows(
        order=order,
        rows=rows,
        first_step=first_step,
        last_step=-(-order.length // order.batch_size) if one_pass else _END // order.batch_size,
        config=chunks.config,
    )

    dataset = tf.data.Dataset.range(len(windows))
    # A window's chunks are read in the order of the corpus, so that neighbours become one read, and
    # only then permuted: in memory, where it is cheap.
    dataset = dataset.apply(plan(chunks, windows, on_unreadable))  # which bytes of which files
    dataset = dataset.apply(read(chunks, parallel_reads, on_unreadable))  # chunks, corpus order
    dataset = dataset.prefetch(1)  # ... of the next window while this one is used
    dataset = dataset.apply(put_in_order(num_rows))  # ... batch by batch
    # After the reordering: what lies beyond the epoch is known only by its place in a batch.
    if one_pass:
        dataset = dataset.apply(end_after(order, rows))
    dataset = dataset.apply(split_over_devices(num_devices, numbered))
    return dataset.prefetch(2).with_options(_options())


def make_order(
    chunks: Chunks,
    *,
    one_pass: bool = False,
    shuffle: bool = True,
    max_chunks: int | None = None,
) -> ShuffledOrder:
    """Returns the order in which `make_dataset` reads chunks."""
    config = chunks.config
    count = min(len(chunks), max_chunks or len(chunks))
    epoch_steps = -(-count // config.batch_size)
    if not one_pass:  # Whole runs; more than an epoch would be read and held for nothing.
        epoch_steps = config.chunks_per_read * -(-epoch_steps // config.chunks_per_read)
    options = {
        "num_chunks": len(chunks),
        "batch_size": config.batch_size,
        "run_length": config.chunks_per_read,
        "window": min(config.window, epoch_steps),
        "seed": config.seed,
    }
    return ShuffledOrder(**options) if shuffle else SequentialOrder(**options, count=count)


def batch_files(chunks: Chunks, step: int, rows: Iterable[int]) -> list[str]:
    """Returns the paths of the files that given rows of the training batch `step` come from."""
    order = make_order(chunks)
    numbers = np.array([*rows], np.int64)
    located = order.occurrences(np.full_like(numbers, step), numbers) % order.num_chunks
    return sorted({chunks.locate(int(number))[0] for number in located})


def describe_batch_files(chunks: Chunks, step: int, limit: int = 5) -> str:
    """Describes the training batch `step` in a message: its number and up to `limit` files."""
    files = batch_files(chunks, step, range(chunks.config.batch_size))
    others = f" and {len(files) - limit} more" if len(files) > limit else ""
    return f"batch {step}, of {', '.join(map(repr, files[:limit]))}{others}"


def plan(chunks: Chunks, windows: Windows, on_unreadable: OnUnreadable | None) -> Stage:
    """Number of a window -> its reads, its chunks, and which of them each call takes."""
    inputs = [tf.constant(value) for value in plan_inputs(chunks, windows)]
    function = None if on_unreadable is None else plan_window

    @_no_autograph
    def plan_one(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        outputs = [tf.string, tf.int64, tf.int64, tf.int64]
        paths, reads, rows, calls = call_python(PLAN, function, [number, *inputs], outputs)
        return (
            tf.ensure_shape(paths, [None]),
            tf.ensure_shape(reads, [None, len(READ_COLUMNS)]),
            tf.ensure_shape(rows, [None, len(CHUNK_COLUMNS)]),
            tf.ensure_shape(calls, [None, 4]),
        )

    return lambda numbers: numbers.map(plan_one, num_parallel_calls=2)


def read(chunks: Chunks, parallel_reads: int, on_unreadable: OnUnreadable | None) -> Stage:
    """Plans -> chunks, a window at once. `map` keeps the order, however calls finish."""
    formats = corpus_formats(chunks)

    @_no_autograph
    def read_window(
        paths: tf.Tensor, reads: tf.Tensor, rows: tf.Tensor, calls: tf.Tensor
    ) -> tf.data.Dataset:
        @_no_autograph
        def read_call(call: tf.Tensor) -> Batch:
            first_read, first_row, last_read, last_row = tf.unstack(call)
            columns = tf.unstack(reads[first_read:last_read], axis=1)
            in_call = dict(
                zip(CHUNK_COLUMNS, tf.unstack(rows[first_row:last_row], axis=1), strict=True)
            )
            batch = read_chunks(
                paths[first_read:last_read],
                dict(zip(READ_COLUMNS, columns, strict=True)),
                in_call,
                formats,
                chunks.config,
                on_unreadable,
            )
            return {**batch, "index": in_call["index"]}

        reading = tf.data.Dataset.from_tensor_slices(calls)
        reading = reading.map(read_call, num_parallel_calls=parallel_reads)
        return reading.rebatch(tf.shape(rows, tf.int64)[0])

    return lambda plans: plans.flat_map(read_window)


def put_in_order(num_rows: int) -> Stage:
    """A window's chunks in corpus order -> its batches, numbered."""

    @_no_autograph
    def batches(window: Batch) -> tf.data.Dataset:
        index = window.pop("index")
        first_index = tf.reduce_min(index)
        source = tf.math.invert_permutation(index - first_index)
        source = tf.reshape(source, [-1, num_rows])

        # A batch at a time: a window put in order as a whole would be in memory twice.
        @_no_autograph
        def batch(rows: tf.Tensor, step: tf.Tensor) -> Batch:
            return {
                **{name: tf.gather(column, rows) for name, column in window.items()},
                "step": step,
            }

        first = first_index // num_rows
        steps = tf.range(first, first + tf.shape(source, tf.int64)[0])
        return tf.data.Dataset.from_tensor_slices((source, steps)).map(batch)

    return lambda windows: windows.flat_map(batches)


def end_after(order: ShuffledOrder, rows: tuple[int, int]) -> Stage:
    """Marks chunks of the last batch that belong to a second epoch as padding: none is scored."""

    def mask(batch: Batch) -> Batch:
        position = batch["step"] * order.batch_size + tf.range(*rows, dtype=tf.int64)
        return {**batch, "stop": tf.where(position < order.length, batch["stop"], 0)}

    return lambda batches: batches.map(mask)


def split_over_devices(num_devices: int, numbered: bool) -> Stage:
    """[R, ...] -> [D, R / D, ...]; keeps `step` if `numbered`."""

    def split(values: tf.Tensor) -> tf.Tensor:
        return tf.reshape(values, [num_devices, values.shape[0] // num_devices, *values.shape[1:]])

    def split_batch(batch: Batch) -> Batch:
        arrays = {name: split(values) for name, values in batch.items() if name != "step"}
        return {**arrays, "step": batch["step"]} if numbered else arrays

    return lambda batches: batches.map(split_batch)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    options.deterministic = True
    # Autotuning would raise parallelism and buffers at run time; fixed, they bound the memory.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    # Calls are side by side; to divide the ops of each as well costs a ninth more CPU time.
    options.threading.max_intra_op_parallelism = 1
    return options
