"""Which bytes of which files hold some chunks.

A *read* is a run of consecutive chunks of one file that is read at once. N files, M occurrences of
chunks, P reads.
"""

import numpy as np
import tensorflow as tf

from pipeline.catalogue.column_file import ALIGNMENT
from pipeline.config import PipelineConfig
from pipeline.reading.chunks import Chunks
from pipeline.wav.encoding import Encoding

_COLUMNS = {
    "size": "sizes",
    "mtime_ns": "mtimes_ns",
    "offset": "offsets",
    "frames": "frames",
    "channels": "channels",
    "encoding": "encodings",
}
"""What a read needs to know of its file, and the column of the table that has it."""


def file_columns(chunks: Chunks) -> dict[str, tf.Tensor]:
    """Returns what `plan_reads` needs: the table of files, `first` [N + 1], `rows` [N]."""
    files, rows = chunks.catalogue.files, chunks.catalogue.rows
    names = ("path_blob", "path_bounds", *_COLUMNS.values())
    columns = {name: _tensor(getattr(files, name)) for name in names}
    if rows is not None:
        columns["rows"] = _tensor(rows)
    return {**columns, "first": _tensor(chunks.first)}


def _tensor(column: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of a column, if that can be."""
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
    """Joins sorted occurrences of chunks to reads.

    Args:
      columns: see `file_columns`.
      occurrences: which chunks to read.
      num_chunks: in an epoch.
      config: how files are cut into chunks.
      max_read_bytes: bounds the memory of one read, however many channels a file has; one chunk is
        always read whole.

    Returns:
      For each read: `path`, `size`, `mtime_ns`, `encoding`, `channels`, `frames` of its file;
      `begin` and `length`, the bytes to read; `room` and `room_frames`, the space they get in
      memory, in bytes and frames: for one channel that is whole chunks; `skip`, samples read before
      the first that is wanted (blocks must be read whole), `samples`, wanted, and `chunks`, that
      hold them; `position`, of the first wanted sample in the file's stream of blocks. And the
      index of each read's first occurrence.
    """
    chunk = occurrences % num_chunks
    file = tf.searchsorted(columns["first"], chunk, side="right", out_type=tf.int64) - 1
    local = chunk - tf.gather(columns["first"], file)
    row = tf.cast(tf.gather(columns["rows"], file), tf.int64) if "rows" in columns else file
    of_file = _file_facts(columns, row, config)
    chunks_per_read = tf.maximum(max_read_bytes // of_file["chunk_bytes"], 1)
    starts, counts = _join_runs(occurrences, file, local, chunks_per_read)

    local, row = tf.gather(local, starts), tf.gather(row, starts)
    of_file = {name: tf.gather(column, starts) for name, column in of_file.items()}
    first_sample = local * config.chunk_size
    last_sample = tf.minimum(
        first_sample + counts * config.chunk_size, of_file["frames"] * of_file["kept_channels"]
    )
    # Blocks can be undone only whole: read from the first block's beginning to the last one's end.
    is_blocked = of_file["kept_channels"] > 1
    block = tf.where(is_blocked, tf.constant(config.stereo_blocking_n, tf.int64), 1)
    stride = block * of_file["kept_channels"]
    first_frame = first_sample // stride * block
    last_frame = tf.minimum(-(-last_sample // stride) * block, of_file["frames"])
    read_frames = last_frame - first_frame
    room_frames = tf.where(is_blocked, read_frames, counts * config.chunk_size)
    return {
        **{name: of_file[name] for name in ("size", "mtime_ns", "frames")},
        **{name: tf.cast(of_file[name], tf.int32) for name in ("encoding", "channels")},
        "path": _paths(columns, row),
        "begin": of_file["offset"] + first_frame * of_file["frame_bytes"],
        "length": read_frames * of_file["frame_bytes"],
        "room": room_frames * of_file["frame_bytes"],
        "room_frames": room_frames,
        "skip": first_sample - first_frame * of_file["kept_channels"],
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
    """Returns the index of each read's first occurrence, and how many it has."""
    is_new = tf.concat(
        [
            [True],
            (occurrences[1:] != occurrences[:-1] + 1)
            | (file[1:] != file[:-1])
            | (local[1:] <= local[:-1]),  # A file that ends an epoch and begins the next one.
        ],
        axis=0,
    )
    index = tf.range(tf.size(occurrences, tf.int64))
    run_start = tf.gather(tf.where(is_new)[:, 0], tf.cumsum(tf.cast(is_new, tf.int64)) - 1)
    starts = tf.where((index - run_start) % chunks_per_read == 0)[:, 0]
    ends = tf.concat([starts[1:], tf.size(occurrences, tf.int64)[tf.newaxis]], axis=0)
    return starts, ends - starts


def _file_facts(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [M]
    config: PipelineConfig,
) -> dict[str, tf.Tensor]:  # int64 [M] each
    """Returns the numbers of each row's file, and what follows from them."""
    facts = {
        name: tf.cast(tf.gather(columns[column], row), tf.int64)
        for name, column in _COLUMNS.items()
    }
    kept_channels = tf.ones_like(facts["channels"]) if config.downmix else facts["channels"]
    sample_bytes = tf.constant([encoding.bytes_per_sample for encoding in Encoding], tf.int64)
    frame_bytes = tf.gather(sample_bytes, facts["encoding"]) * facts["channels"]
    return {
        **facts,
        "kept_channels": kept_channels,
        "frame_bytes": frame_bytes,
        # Frames of one chunk at most, and so the bytes to read for it.
        "chunk_bytes": -(-config.chunk_size // kept_channels) * frame_bytes,
    }


def _paths(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [P]
) -> tf.Tensor:  # string [P]
    """Slices paths out of the blob, which is half the size of a tensor of strings."""
    bounds = [tf.cast(tf.gather(columns["path_bounds"], row + i), tf.int64) for i in (0, 1)]
    indices = tf.ragged.range(*bounds)
    characters = tf.constant([bytes([code]) for code in range(256)])
    codes = tf.cast(tf.gather(columns["path_blob"], indices.values), tf.int32)
    return tf.strings.unsorted_segment_join(
        tf.gather(characters, codes), indices.value_rowids(), tf.size(row)
    )
