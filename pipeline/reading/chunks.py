"""Which chunks a catalogue holds, and which bytes each of them is.

N files, P pieces. A *piece* is a run of consecutive chunks of one file, read at once.
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from pipeline.catalogue.catalogue import Catalogue
from pipeline.catalogue.column_file import ALIGNMENT, allocate
from pipeline.config import PipelineConfig
from pipeline.wav.header import Encoding

_PIECE_BYTES = 2**20  # Bounds the memory of one read, however many channels a file has.
_NUMBERS = {
    "size": "sizes",
    "mtime_ns": "mtimes_ns",
    "offset": "offsets",
    "frames": "frames",
    "channels": "channels",
    "encoding": "encodings",
}
"""Of one file, and the column of it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunks:
    """The chunks of a catalogue, numbered through all its files.

    Attributes:
      catalogue: the files.
      config: how they are cut.
      limit: use only the first `limit` chunks.
    """

    catalogue: Catalogue
    config: PipelineConfig
    limit: int | None = None

    def __len__(self) -> int:
        total = int(self.first[-1])
        return total if self.limit is None else min(total, self.limit)

    @property
    def kept_channels(self) -> np.ndarray:  # int64 [N]
        """Channels of each file after the downmix."""
        channels = self.catalogue.channels.astype(np.int64)
        return np.ones_like(channels) if self.config.downmix else channels

    @functools.cached_property
    def first(self) -> np.ndarray:  # int64 [N + 1]
        """The number of each file's first chunk; the last entry is their total."""
        first = allocate(len(self.catalogue) + 1, np.dtype(np.int64))
        np.cumsum(-(-self._samples() // self.config.chunk_size), out=first[1:])
        return first

    @functools.cached_property
    def num_samples(self) -> int:
        """Samples in all chunks, padding not counted."""
        count = len(self)
        file = int(self.files_of(np.array(count)))  # The file that the limit cuts, if any.
        return (
            int(self._samples()[:file].sum())
            + (count - int(self.first[file])) * self.config.chunk_size
        )

    def _samples(self) -> np.ndarray:  # int64 [N]
        files = self.catalogue.fresh()
        return files.frames if self.config.downmix else files.frames * files.channels

    def files_of(self, chunks: np.ndarray) -> np.ndarray:  # int64 [M]
        """Returns the index of the file that holds each of these chunks, by number; [M]."""
        return np.searchsorted(self.first, chunks, side="right") - 1

    def locate(self, chunk: int) -> tuple[str, int]:
        """Returns the path of the file that holds a chunk, and the chunk's number within it."""
        file = int(self.files_of(np.array(chunk)))
        return self.catalogue.paths[file], chunk - int(self.first[file])

    def columns(self) -> dict[str, tf.Tensor]:
        """Returns what `pieces` needs to know: the table of files, `first` [N + 1], `rows` [N]."""
        files, rows = self.catalogue.files, self.catalogue.rows
        names = ("path_blob", "path_bounds", *_NUMBERS.values())
        columns = {name: _tensor(getattr(files, name)) for name in names}
        if rows is not None:
            columns["rows"] = _tensor(rows)
        return {**columns, "first": _tensor(self.first)}


def _tensor(column: np.ndarray) -> tf.Tensor:
    """Returns a tensor that shares the memory of a column, if that can be."""
    if len(column) and column.flags.writeable and column.ctypes.data % ALIGNMENT == 0:
        return tf.experimental.dlpack.from_dlpack(column.__dlpack__())
    return tf.constant(column)


def pieces(
    columns: dict[str, tf.Tensor],
    occurrences: tf.Tensor,  # int64 [M], sorted: epoch * num_chunks + chunk
    num_chunks: int,
    config: PipelineConfig,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:  # {name: [P]}, int64 [P]
    """Cuts sorted occurrences into reads.

    Returns:
      For each piece: `path`, `size`, `mtime_ns`, `encoding`, `channels` of its file; `begin` and
      `length`, the bytes to read; `room` and `room_frames`, the space they get in memory, in bytes
      and frames: for one channel that is whole chunks; `skip`, samples read before the first that
      is wanted (blocks must be read whole), `samples`, wanted, and `chunks`, that hold them. And
      the index of each piece's first occurrence.
    """
    chunk = occurrences % num_chunks
    file = tf.searchsorted(columns["first"], chunk, side="right", out_type=tf.int64) - 1
    local = chunk - tf.gather(columns["first"], file)
    row = tf.cast(tf.gather(columns["rows"], file), tf.int64) if "rows" in columns else file
    of = _of_files(columns, row, config)
    is_new = tf.concat(
        [
            [True],
            (occurrences[1:] != occurrences[:-1] + 1)
            | (file[1:] != file[:-1])
            | (local[1:] <= local[:-1]),  # A file that ends an epoch and begins the next one.
        ],
        axis=0,
    )
    number = tf.range(tf.size(occurrences, tf.int64))
    run_start = tf.gather(tf.where(is_new)[:, 0], tf.cumsum(tf.cast(is_new, tf.int64)) - 1)
    starts = tf.where((number - run_start) % of["chunks_a_read"] == 0)[:, 0]
    ends = tf.concat([starts[1:], tf.size(occurrences, tf.int64)[tf.newaxis]], axis=0)

    count = ends - starts
    local, row = tf.gather(local, starts), tf.gather(row, starts)
    of = {name: tf.gather(column, starts) for name, column in of.items()}
    first_sample = local * config.chunk_size
    last_sample = tf.minimum(
        first_sample + count * config.chunk_size, of["frames"] * of["kept_channels"]
    )
    # Blocks can be undone only whole: read from the first block's beginning to the last one's end.
    block = tf.where(of["kept_channels"] > 1, tf.constant(config.stereo_blocking_n, tf.int64), 1)
    stride = block * of["kept_channels"]
    first_frame = first_sample // stride * block
    last_frame = tf.minimum(-(-last_sample // stride) * block, of["frames"])
    read_frames = last_frame - first_frame
    room_frames = tf.where(of["kept_channels"] > 1, read_frames, count * config.chunk_size)
    return {
        **{name: of[name] for name in ("size", "mtime_ns")},
        **{name: tf.cast(of[name], tf.int32) for name in ("encoding", "channels")},
        "path": _paths(columns, row),
        "begin": of["offset"] + first_frame * of["frame_bytes"],
        "length": read_frames * of["frame_bytes"],
        "room": room_frames * of["frame_bytes"],
        "room_frames": room_frames,
        "skip": first_sample - first_frame * of["kept_channels"],
        "samples": last_sample - first_sample,
        "chunks": count,
    }, starts


def _of_files(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [M]
    config: PipelineConfig,
) -> dict[str, tf.Tensor]:  # int64 [M] each
    """Returns the numbers of each row's file, those that follow from its header too."""
    of = {
        name: tf.cast(tf.gather(columns[column], row), tf.int64)
        for name, column in _NUMBERS.items()
    }
    kept_channels = tf.ones_like(of["channels"]) if config.downmix else of["channels"]
    sample_bytes = tf.constant([encoding.bytes_per_sample for encoding in Encoding], tf.int64)
    frame_bytes = tf.gather(sample_bytes, of["encoding"]) * of["channels"]
    # Frames of one chunk at most, and so the bytes to read for it.
    chunk_bytes = -(-config.chunk_size // kept_channels) * frame_bytes
    return {
        **of,
        "kept_channels": kept_channels,
        "frame_bytes": frame_bytes,
        "chunks_a_read": tf.maximum(tf.constant(1, tf.int64), _PIECE_BYTES // chunk_bytes),
    }


def _paths(
    columns: dict[str, tf.Tensor],
    row: tf.Tensor,  # integers [P]
) -> tf.Tensor:  # string [P]
    """Cuts paths out of the blob, which is half the size of a tensor of strings."""
    bounds = [tf.cast(tf.gather(columns["path_bounds"], row + i), tf.int64) for i in (0, 1)]
    places = tf.ragged.range(*bounds)
    characters = tf.constant([bytes([code]) for code in range(256)])
    codes = tf.cast(tf.gather(columns["path_blob"], places.values), tf.int32)
    return tf.strings.unsorted_segment_join(
        tf.gather(characters, codes), places.value_rowids(), tf.size(row)
    )
