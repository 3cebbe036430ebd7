"""The graph: from the numbers of shuffle windows to batches of samples.

Nothing is shuffled in a buffer: which chunk comes where is arithmetic (see `shuffle`), so the graph
starts at any step without replaying the steps before it. Its unit of reading is a run of
consecutive chunks, its unit of shuffling a window of K steps.

B global batch, D devices of this host, L chunk size, K steps in a window, R rows of this host.
"""

import os
from collections.abc import Callable, Iterable

import tensorflow as tf

from pipeline.reading.byte_ranges import OnUnreadable
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_chunks import Batch, read_chunks
from pipeline.reading.read_plan import file_columns, plan_reads
from pipeline.shuffle import SequentialOrder, ShuffledOrder

# In one call of `read_ranges`, in whole runs: amortizes the call where reads are short.
_SAMPLES_PER_CALL = 2**20
# Calls in flight: enough to hide the latency of a disk; a bucket needs more.
_PARALLEL_READS = max(4, 2 * (os.cpu_count() or 1))

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
        None makes a graph for another process, see `read_chunks.serve_reads`.
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
    epoch_steps = -(-order.length // order.batch_size)
    first_window = first_step // order.window
    last_window = -(-epoch_steps // order.window) if one_pass else 2**62 // order.batch_size

    dataset = tf.data.Dataset.range(first_window, last_window)
    # A window's chunks are read in the order of the corpus, so that neighbours become one read, and
    # only then permuted: in memory, where it is cheap.
    dataset = dataset.apply(plan(chunks, order, rows))  # which bytes of which files
    dataset = dataset.apply(read(chunks, parallel_reads, on_unreadable))  # chunks, corpus order
    dataset = dataset.rebatch(order.window * num_rows)  # ... of whole windows
    dataset = dataset.prefetch(1)  # ... read while the window before is used
    dataset = dataset.apply(put_in_order(order, num_rows, first_step))  # ... batch by batch
    # After the reordering: what lies beyond the epoch is known only by its place in a batch.
    if one_pass:
        dataset = dataset.take(epoch_steps - first_step)
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
    numbers = tf.constant([*rows], tf.int64)
    occurrences = order.occurrences(tf.fill(numbers.shape, tf.constant(step, tf.int64)), numbers)
    located = occurrences.numpy() % order.num_chunks
    return sorted({chunks.locate(int(number))[0] for number in located})


def describe_batch_files(chunks: Chunks, step: int, limit: int = 5) -> str:
    """Describes the training batch `step` in a message: its number and up to `limit` files."""
    files = batch_files(chunks, step, range(chunks.config.batch_size))
    others = f" and {len(files) - limit} more" if len(files) > limit else ""
    return f"batch {step}, of {', '.join(map(repr, files[:limit]))}{others}"


def plan(chunks: Chunks, order: ShuffledOrder, rows: tuple[int, int]) -> Stage:
    """Window number -> calls of several reads, and the stream index of each chunk."""
    columns = file_columns(chunks)
    reads_per_call = max(1, _SAMPLES_PER_CALL // (order.run_length * chunks.config.chunk_size))

    @_no_autograph
    def plan_window(window: tf.Tensor) -> dict:
        occurrences = order.window_occurrences(window, rows)
        # Sorted, the chunks of a run are neighbours and become one read; `indices` undoes it later.
        indices = tf.argsort(occurrences)
        occurrences = tf.gather(occurrences, indices)
        reads, starts = plan_reads(columns, occurrences, order.num_chunks, chunks.config)
        indices = window * tf.size(indices, tf.int64) + tf.cast(indices, tf.int64)
        call_starts = _group_reads(reads, reads_per_call)
        calls = tf.RaggedTensor.from_row_starts(starts, call_starts, validate=False)
        return {
            "reads": {name: calls.with_values(column) for name, column in reads.items()},
            "index": tf.RaggedTensor.from_row_starts(
                indices, tf.gather(starts, call_starts), validate=False
            ),
        }

    return lambda windows: windows.map(plan_window, num_parallel_calls=2).flat_map(
        tf.data.Dataset.from_tensor_slices
    )


def _group_reads(reads: dict[str, tf.Tensor], reads_per_call: int) -> tf.Tensor:  # int64 [calls]
    """Returns the first read of each call. A call has one format: `decode` has one branch each."""
    channels, encoding = reads["channels"], reads["encoding"]
    differs = (channels[1:] != channels[:-1]) | (encoding[1:] != encoding[:-1])
    is_new = tf.concat([[True], differs], axis=0)
    number = tf.range(tf.size(channels, tf.int64))
    return tf.where(is_new | (number % reads_per_call == 0))[:, 0]


def read(chunks: Chunks, parallel_reads: int, on_unreadable: OnUnreadable | None) -> Stage:
    """Reads -> chunks and their stream indices. `map` keeps the order, however reads finish."""

    @_no_autograph
    def read_call(plan: dict) -> Batch:
        return {**read_chunks(plan["reads"], chunks.config, on_unreadable), "index": plan["index"]}

    return lambda calls: calls.map(read_call, num_parallel_calls=parallel_reads)


def put_in_order(order: ShuffledOrder, num_rows: int, first_step: int) -> Stage:
    """A window's chunks in corpus order -> its K batches, numbered, from `first_step` on."""

    @_no_autograph
    def batches(window: Batch) -> tf.data.Dataset:
        index = window.pop("index")
        first_index = tf.reduce_min(index)
        source = tf.math.invert_permutation(index - first_index)
        source = tf.reshape(source, [order.window, num_rows])
        first = first_index // num_rows

        # A batch at a time: a window put in order as a whole would be in memory twice.
        @_no_autograph
        def batch(step: tf.Tensor) -> Batch:
            rows = source[step - first]
            return {
                **{name: tf.gather(column, rows) for name, column in window.items()},
                "step": step,
            }

        # Not by Dataset.skip: under the tf.data service every worker would skip as many batches.
        steps = tf.data.Dataset.range(tf.maximum(first, first_step), first + order.window)
        return steps.map(batch)

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
    return options
