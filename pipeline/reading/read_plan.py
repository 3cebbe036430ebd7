"""Which bytes of which files hold given chunks.

A *read* fetches consecutive chunks of one file in one operation. N files, M occurrences of chunks,
P reads.
"""

import numpy as np
import tensorflow as tf

from pipeline.catalogue.column_file import ALIGNMENT
from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.wav.encoding import Encoding

_COLUMNS = {
    "size": "sizes",
    "mtime_ns": "mtimes_ns",
    "offset": "offsets",
    "frames": "frames",
    "channels": "channels",
    "encoding": "encodings",
}
"""What a read needs to know about its file, and the column of the table that holds it."""


def file_columns(chunks: Chunks) -> dict[str, tf.Tensor]:
    """Returns what `plan_reads` needs: the table of files, `first` [N + 1], `rows` [N]."""
    files, rows = chunks.catalogue.files, chunks.catalogue.rows
    names = ("path_blob", "path_bounds", *_COLUMNS.values())
    columns = {name: _tensor(getattr(files, name)) for name in names}
    if rows is not None:
        columns["rows"] = _tensor(rows)
    return {**columns, "first": _tensor(chunks.first)}


def _tensor(column: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of a column, if it is aligned and writable."""
    if len(column) and column.flags.writeable and column.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(column.__dlpack__())
    return tf.constant(column)


def plan_reads(
    columns: dict[str, tf.Tensor],
    occurrences: tf.Tensor,  # int64 [M], sorted: epoch * num_chunks + chunk
    num_chunks: int,
    config: PipelineConfig,
    max_read_bytes: int = 2**20,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:  # {name: [P]}, int64 [P]
    """Merges sorted occurrences of chunks into reads.

    Args:
      columns: see `file_columns`.
      occurrences: which chunks to read.
      num_chunks: chunks in an epoch.
      config: how files are divided into chunks.
      max_read_bytes: bounds the memory of a read, however many channels a file has; but a read
        holds at least one chunk.

    Returns:
      For each read: `path`, `size`, `mtime_ns`, `encoding`, `channels`, `frames` of its file;
      `begin` and `length`, the bytes to read; `slot_bytes` and `slot_frames`, the size of its slot
      in the buffer: whole chunks for one channel; `skip`, samples to drop at the beginning (blocks
      are read whole), `samples`, to keep after these, and `chunks`, that they fill; `position` of
      the first kept sample in the file's stream. And the index of each read's first occurrence.
    """
    chunk = occurrences % num_chunks
    file = tf.searchsorted(columns["first"], chunk, side="right", out_type=tf.int64) - 1
    local = chunk - tf.gather(columns["first"], file)
    row = tf.cast(tf.gather(columns["rows"], file), tf.int64) if "rows" in columns else file
    file_info = _file_info(columns, row, config)
    chunks_per_read = tf.maximum(max_read_bytes // file_info["chunk_bytes"], 1)
    starts, counts = _join_runs(occurrences, file, local, chunks_per_read)

    local, row = tf.gather(local, starts), tf.gather(row, starts)
    file_info = {name: tf.gather(column, starts) for name, column in file_info.items()}
    first_sample = local * config.chunk_size
    last_sample = tf.minimum(
        first_sample + counts * config.chunk_size, file_info["frames"] * file_info["kept_channels"]
    )
    # Only whole blocks can be interleaved: read from the start of the first to the end of the last.
    is_blocked = file_info["kept_channels"] > 1
    block = tf.where(is_blocked, tf.constant(config.stereo_blocking_n, tf.int64), 1)
    stride = block * file_info["kept_channels"]
    first_frame = first_sample // stride * block
    last_frame = tf.minimum(-(-last_sample // stride) * block, file_info["frames"])
    read_frames = last_frame - first_frame
    slot_frames = tf.where(is_blocked, read_frames, counts * config.chunk_size)
    return {
        **{name: file_info[name] for name in ("size", "mtime_ns", "frames")},
        **{name: tf.cast(file_info[name], tf.int32) for name in ("encoding", "channels")},
        "path": _paths(columns, row),
        "begin": file_info["offset"] + first_frame * file_info["frame_bytes"],
        "length": read_frames * file_info["frame_bytes"],
        "slot_bytes": slot_frames * file_info["frame_bytes"],
        "slot_frames": slot_frames,
        "skip": first_sample - first_frame * file_info["kept_channels"],
        "samples": last_sample - first_sample,
        "chunks": counts,
        "position": first_sample,
    }, starts


def _join_runs(
    occurrences: tf.Tensor,  # int64 [M], sorted
    file: tf.Tensor,  # int64 [M]
    local: tf.Tensor,  # int64 [M], number of the chunk within its file
    chunks_per_read: tf.Tensor,  # int64 [M], at most
) -> tuple[tf.Tensor, tf.Tensor]:  # int64 [P] each
    """Returns the index of each read's first occurrence, and its number of occurrences."""
    is_gap = (occurrences[1:] != occurrences[:-1] + 1) | (file[1:] != file[:-1])
    is_gap |= local[1:] <= local[:-1]  # A file that ends one epoch and begins the next.
    is_new = tf.concat([[True], is_gap], axis=0)
    index = tf.range(tf.size(occurrences, tf.int64))
    run_start = tf.gather(tf.where(is_new)[:, 0], tf.cumsum(tf.cast(is_new, tf.int64)) - 1)
    starts = tf.where((index - run_start) % chunks_per_read == 0)[:, 0]
    ends = tf.concat([starts[1:], tf.size(occurrences, tf.int64)[tf.newaxis]], axis=0)
    return starts, ends - starts


def _file_info(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [M]
    config: PipelineConfig,
) -> dict[str, tf.Tensor]:  # int64 [M] each
    """Returns the columns of _COLUMNS for each row's file, and what follows from them."""
    info = {
        name: tf.cast(tf.gather(columns[column], row), tf.int64)
        for name, column in _COLUMNS.items()
    }
    kept_channels = tf.ones_like(info["channels"]) if config.downmix else info["channels"]
    sample_bytes = tf.constant([encoding.bytes_per_sample for encoding in Encoding], tf.int64)
    frame_bytes = tf.gather(sample_bytes, info["encoding"]) * info["channels"]
    return {
        **info,
        "kept_channels": kept_channels,
        "frame_bytes": frame_bytes,
        # Bytes of one chunk: its frames, rounded up.
        "chunk_bytes": -(-config.chunk_size // kept_channels) * frame_bytes,
    }


def _paths(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [P]
) -> tf.Tensor:  # string [P]
    """Extracts paths from the blob, which takes half the memory of a tensor of strings."""
    bounds = [tf.cast(tf.gather(columns["path_bounds"], row + i), tf.int64) for i in (0, 1)]
    indices = tf.ragged.range(*bounds)
    characters = tf.constant([bytes([code]) for code in range(256)])
    codes = tf.cast(tf.gather(columns["path_blob"], indices.values), tf.int32)
    return tf.strings.unsorted_segment_join(
        tf.gather(characters, codes), indices.value_rowids(), tf.size(row)
    )
