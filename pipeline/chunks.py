"""Which chunks a catalogue holds, and which bytes each of them is.

N files, P pieces. A *piece* is a run of consecutive chunks of one file, read at once.
"""

import bisect
import dataclasses
import functools
import os

import numpy as np
import tensorflow as tf

from pipeline.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.wav import Encoding

_FRAME_SAMPLE_BYTES = np.array([encoding.bytes_per_sample for encoding in Encoding], np.int64)
_PIECE_BYTES = 2**20  # Bounds the memory of one read, however many channels a file has.


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

    @functools.cached_property
    def kept_channels(self) -> np.ndarray:  # int64 [N]
        """Channels of each file after the downmix."""
        channels = self.catalogue.channels.astype(np.int64)
        return np.ones_like(channels) if self.config.downmix else channels

    @functools.cached_property
    def first(self) -> np.ndarray:  # int64 [N + 1]
        """The number of each file's first chunk; the last entry is their total."""
        samples = self.catalogue.frames * self.kept_channels
        counts = -(-samples // self.config.chunk_size)
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    @functools.cached_property
    def num_samples(self) -> int:
        """Samples in all chunks, padding not counted."""
        count = len(self)
        file = bisect.bisect_right(self.first, count) - 1  # The file that the limit cuts, if any.
        samples = self.catalogue.frames * self.kept_channels
        return int(samples[:file].sum()) + (count - int(self.first[file])) * self.config.chunk_size

    def locate(self, chunk: int) -> tuple[str, int]:
        """Returns the path of the file that holds a chunk, and the chunk's number within it."""
        file = bisect.bisect_right(self.first, chunk) - 1
        return self.catalogue.paths[file], chunk - int(self.first[file])

    def columns(self) -> dict[str, tf.Tensor]:
        """Returns what `pieces` needs to know of the files: tensors [N], `first` [N + 1]."""
        catalogue = self.catalogue
        frame_bytes = _FRAME_SAMPLE_BYTES[catalogue.encodings] * catalogue.channels
        # Frames of one chunk at most, and so the bytes to read for it.
        chunk_bytes = -(-self.config.chunk_size // self.kept_channels) * frame_bytes
        return {
            "path": tf.constant([os.fsencode(path) for path in catalogue.paths], tf.string),
            "first": tf.constant(self.first),
            "frames": tf.constant(catalogue.frames, tf.int64),
            "channels": tf.constant(catalogue.channels, tf.int32),
            "kept_channels": tf.constant(self.kept_channels),
            "encoding": tf.constant(catalogue.encodings, tf.int32),
            "frame_bytes": tf.constant(frame_bytes, tf.int64),
            "offset": tf.constant(catalogue.offsets, tf.int64),
            "size": tf.constant(catalogue.sizes, tf.int64),
            "mtime_ns": tf.constant(catalogue.mtimes_ns, tf.int64),
            "chunks_a_read": tf.constant(np.maximum(1, _PIECE_BYTES // chunk_bytes), tf.int64),
        }


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
    read = local // tf.gather(columns["chunks_a_read"], file)
    follows = (
        (occurrences[1:] == occurrences[:-1] + 1)
        & (file[1:] == file[:-1])
        & (read[1:] == read[:-1])
        & (local[1:] > local[:-1])  # A file that ends an epoch and begins the next one.
    )
    starts = tf.where(tf.concat([[True], ~follows], axis=0))[:, 0]
    ends = tf.concat([starts[1:], tf.size(occurrences, tf.int64)[tf.newaxis]], axis=0)

    count = ends - starts
    file, local = tf.gather(file, starts), tf.gather(local, starts)
    of = {name: tf.gather(column, file) for name, column in columns.items() if name != "first"}
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
        **{name: of[name] for name in ("path", "size", "mtime_ns", "encoding", "channels")},
        "begin": of["offset"] + first_frame * of["frame_bytes"],
        "length": read_frames * of["frame_bytes"],
        "room": room_frames * of["frame_bytes"],
        "room_frames": room_frames,
        "skip": first_sample - first_frame * of["kept_channels"],
        "samples": last_sample - first_sample,
        "chunks": count,
    }, starts
