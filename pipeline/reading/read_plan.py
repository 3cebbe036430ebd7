"""Which bytes of which files hold given chunks.

A *read* fetches consecutive chunks of one file in one operation, a *call* several reads of one
format. N files, M occurrences of chunks, P reads, Q calls.

Planned in NumPy, a window at a time: as operations of the graph the same took half of the time from
the start to the first batch to trace, and more time to run.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.wav.encoding import Encoding
from runtime.stereo_blocks import locate

_COLUMNS = {
    "size": "sizes",
    "mtime_ns": "mtimes_ns",
    "offset": "offsets",
    "frames": "frames",
    "channels": "channels",
    "encoding": "encodings",
}
"""What a read needs to know about its file, and the column of the table that holds it."""

_SAMPLE_BYTES = np.array([encoding.bytes_per_sample for encoding in Encoding])

# In one call, in whole runs: amortizes the call where reads are short.
_SAMPLES_PER_CALL = 2**20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadPlan:
    """What to read, in the order of the corpus.

    Attributes:
      paths: bytes [P], the file of each read, as `os.fsencode` encodes it.
      reads: int64 [P] by name. `size`, `mtime_ns`, `frames`, `channels`, `encoding` of its file;
        `begin` and `length`, the bytes to read; `slot_bytes` and `slot_frames`, the size of its
        slot in the buffer: whole chunks for one channel; `skip`, samples to drop at the beginning
        (blocks are read whole), `samples`, to keep after these, and `chunks`, that they fill.
      chunks: int64 [M] by name. `read`, the number of its read within the call; `stop`, its
        samples without padding; `channels` of its stream, and `channel` and `position` in there of
        its first sample; `frames` of its file.
      calls: int64 [Q + 1, 2]: the first read and the first chunk of each call, and their numbers.
    """

    paths: np.ndarray
    reads: Mapping[str, np.ndarray]
    chunks: Mapping[str, np.ndarray]
    calls: np.ndarray


def file_columns(chunks: Chunks) -> dict[str, np.ndarray]:
    """Returns what `plan_reads` needs: the table of files, `first` [N + 1], `rows` [N]."""
    files, rows = chunks.catalogue.files, chunks.catalogue.rows
    names = ("path_blob", "path_bounds", *_COLUMNS.values())
    columns = {name: getattr(files, name) for name in names}
    if rows is not None:
        columns["rows"] = rows
    return {**columns, "first": chunks.first}


def plan_reads(
    columns: Mapping[str, np.ndarray],
    occurrences: np.ndarray,  # int64 [M], sorted: epoch * num_chunks + chunk
    config: PipelineConfig,
    *,
    max_read_bytes: int = 2**20,
) -> ReadPlan:
    """Merges sorted occurrences of chunks into reads.

    Args:
      columns: see `file_columns`.
      occurrences: which chunks to read.
      config: how files are divided into chunks.
      max_read_bytes: bounds the memory of a read, however many channels a file has; but a read
        holds at least one chunk.
    """
    chunk = occurrences % columns["first"][-1]
    file = np.searchsorted(columns["first"], chunk, side="right") - 1
    local = chunk - columns["first"][file]
    row = columns["rows"][file].astype(np.int64) if "rows" in columns else file
    # Most neighbours are of one file: what follows from the file alone is looked up once a run.
    starts, counts = _join_runs(columns, occurrences, file, local, row, config, max_read_bytes)
    read_of_chunk = np.repeat(np.arange(len(starts)), counts)
    info = _file_info(columns, row[starts], config)
    reads = _byte_ranges(info, local[starts], counts, config)
    calls = _group_reads(reads, starts, len(occurrences), config)
    chunks_a_call = np.diff(calls[:, 1])
    position = local * config.chunk_size
    channels, frames = info["kept_channels"][read_of_chunk], info["frames"][read_of_chunk]
    return ReadPlan(
        paths=_paths(columns, row[starts]),
        reads=reads,
        chunks={
            "read": read_of_chunk - np.repeat(calls[:-1, 0], chunks_a_call),
            "stop": np.minimum(frames * channels - position, config.chunk_size),
            "channels": channels,
            "channel": locate(position, frames, channels, config.stereo_blocking_n)[0],
            "position": position,
            "frames": frames,
        },
        calls=calls,
    )


def _byte_ranges(
    info: Mapping[str, np.ndarray],  # of `_file_info`, [P]
    local: np.ndarray,  # int64 [P], number of the first chunk within its file
    counts: np.ndarray,  # int64 [P], chunks
    config: PipelineConfig,
) -> dict[str, np.ndarray]:  # int64 [P] each
    """Returns `ReadPlan.reads`."""
    first_sample = local * config.chunk_size
    last_sample = np.minimum(
        first_sample + counts * config.chunk_size, info["frames"] * info["kept_channels"]
    )
    # Only whole blocks can be interleaved: read from the start of the first to the end of the last.
    is_blocked = info["kept_channels"] > 1
    block = np.where(is_blocked, config.stereo_blocking_n, 1)
    stride = block * info["kept_channels"]
    first_frame = first_sample // stride * block
    last_frame = np.minimum(-(-last_sample // stride) * block, info["frames"])
    read_frames = last_frame - first_frame
    slot_frames = np.where(is_blocked, read_frames, counts * config.chunk_size)
    return {
        **{name: info[name] for name in ("size", "mtime_ns", "frames", "encoding", "channels")},
        "begin": info["offset"] + first_frame * info["frame_bytes"],
        "length": read_frames * info["frame_bytes"],
        "slot_bytes": slot_frames * info["frame_bytes"],
        "slot_frames": slot_frames,
        "skip": first_sample - first_frame * info["kept_channels"],
        "samples": last_sample - first_sample,
        "chunks": counts,
    }


def _join_runs(
    columns: Mapping[str, np.ndarray],
    occurrences: np.ndarray,  # int64 [M], sorted
    file: np.ndarray,  # int64 [M]
    local: np.ndarray,  # int64 [M], number of the chunk within its file
    row: np.ndarray,  # int64 [M]
    config: PipelineConfig,
    max_read_bytes: int,
) -> tuple[np.ndarray, np.ndarray]:  # int64 [P] each
    """Returns the index of each read's first occurrence, and its number of occurrences."""
    is_gap = (occurrences[1:] != occurrences[:-1] + 1) | (file[1:] != file[:-1])
    is_gap |= local[1:] <= local[:-1]  # A file that ends one epoch and begins the next.
    run_starts = np.flatnonzero(np.concatenate([[True], is_gap]))
    lengths = np.diff(run_starts, append=len(occurrences))
    chunk_bytes = _file_info(columns, row[run_starts], config)["chunk_bytes"]
    chunks_per_read = np.maximum(max_read_bytes // chunk_bytes, 1)
    index = np.arange(len(occurrences)) - np.repeat(run_starts, lengths)
    starts = np.flatnonzero(index % np.repeat(chunks_per_read, lengths) == 0)
    return starts, np.diff(starts, append=len(occurrences))


def _group_reads(
    reads: Mapping[str, np.ndarray], starts: np.ndarray, num_chunks: int, config: PipelineConfig
) -> np.ndarray:  # int64 [Q + 1, 2]
    """Returns `ReadPlan.calls`. A call has one format, which decides how it is decoded."""
    channels, encoding = reads["channels"], reads["encoding"]
    differs = (channels[1:] != channels[:-1]) | (encoding[1:] != encoding[:-1])
    is_new = np.concatenate([[True], differs])
    reads_per_call = max(1, _SAMPLES_PER_CALL // (config.chunks_per_read * config.chunk_size))
    is_new |= np.arange(len(channels)) % reads_per_call == 0
    first = np.append(np.flatnonzero(is_new), len(starts))
    return np.stack([first, np.append(starts, num_chunks)[first]], axis=1)


def _file_info(
    columns: Mapping[str, np.ndarray],
    row: np.ndarray,  # int64 [P]
    config: PipelineConfig,
) -> dict[str, np.ndarray]:  # int64 [P] each
    """Returns the columns of _COLUMNS for each row's file, and what follows from them."""
    info = {name: columns[column][row].astype(np.int64) for name, column in _COLUMNS.items()}
    kept_channels = np.ones_like(info["channels"]) if config.downmix else info["channels"]
    frame_bytes = _SAMPLE_BYTES[info["encoding"]] * info["channels"]
    return {
        **info,
        "kept_channels": kept_channels,
        "frame_bytes": frame_bytes,
        # Bytes of one chunk: its frames, rounded up.
        "chunk_bytes": -(-config.chunk_size // kept_channels) * frame_bytes,
    }


def _paths(
    columns: Mapping[str, np.ndarray],
    row: np.ndarray,  # int64 [P]
) -> np.ndarray:  # bytes [P]
    """Extracts paths from the blob, which takes half the memory of an array of strings."""
    blob, bounds = columns["path_blob"], columns["path_bounds"]
    paths = np.empty(len(row), object)
    paths[:] = [
        blob[begin:end].tobytes()
        for begin, end in zip(bounds[row].tolist(), bounds[row + 1].tolist(), strict=True)
    ]
    return paths
