"""Performs reads: bytes in, chunks out.

P reads of one call, n chunks, L chunk size, F frames, C channels.
"""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from pipeline.config import PipelineConfig
from pipeline.reading.byte_ranges import OnUnreadable, read_ranges
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.python_calls import READ, call_python
from pipeline.transforms import block, downmix, downmix_stereo, pad, requantize
from pipeline.wav.decode import decode, decode_stereo
from pipeline.wav.encoding import Encoding

UNREADABLE = -1
"""The `stop` of a chunk whose file could not be read: none of its samples is scored."""

_BLOCK = 2**20  # In files.

Reads = Mapping[str, tf.Tensor]
Batch = dict[str, tf.Tensor]


class Format(NamedTuple):
    """What decides how a payload is decoded; `channels` is 1, 2 or None: any number more."""

    encoding: Encoding
    channels: int | None

    @classmethod
    def of(cls, encoding: int, channels: int) -> "Format":
        """Returns the format of a file with this encoding and number of channels."""
        return cls(Encoding(encoding), channels if channels <= 2 else None)


def corpus_formats(chunks: Chunks) -> tuple[Format, ...]:
    """Returns the formats of the files: the graph has a branch for each."""
    files = chunks.catalogue.files
    found: set[tuple[int, int]] = set()
    for start in range(0, len(files), _BLOCK):  # In blocks: there may be 10^8 files.
        encoding, channels = (
            column[start : start + _BLOCK].astype(np.int64)
            for column in (files.encodings, files.channels)
        )
        keys = np.unique(encoding[encoding >= 0] * 4 + np.minimum(channels[encoding >= 0], 3))
        found.update(divmod(int(key), 4) for key in keys)
    return tuple(Format.of(*key) for key in sorted(found))


def is_scored(
    batch: Mapping[str, np.ndarray],  # see `read_chunks`
) -> np.ndarray:  # bool [..., n, L]
    """Returns which samples are scored; none of a chunk that is UNREADABLE."""
    index = np.arange(batch["samples"].shape[-1])
    return (index >= batch["first"][..., np.newaxis]) & (index < batch["stop"][..., np.newaxis])


def read_chunks(
    paths: tf.Tensor,  # string [P]
    reads: Reads,  # int64 [P] each; see `read_plan.ReadPlan`
    chunks: Mapping[str, tf.Tensor],  # int64 [n] each, likewise
    formats: tuple[Format, ...],
    config: PipelineConfig,
    on_unreadable: OnUnreadable | None,
) -> Batch:  # each [n, ...]
    """Performs the reads of a call, which share one encoding and one number of channels.

    Args:
      paths: the file of each.
      reads: what to read.
      chunks: the chunks that they hold.
      formats: those of the corpus. The graph has a branch for each, and none if it is one.
      config: how frames become chunks.
      on_unreadable: see `byte_ranges.OnUnreadable`; None makes a graph for another process, see
        `python_calls.serve_python`.

    Returns:
      `samples`, signed integers [n, L] of type `transforms.sample_dtype`, padded with silence;
      `first` and `stop`, int32 [n]: the samples at [first, stop) are scored; `channels`, int32 [n],
      in the chunk's stream; `channel`, int32 [n], and `position` in the stream, int64 [n], of the
      chunk's first sample; `frames`, int64 [n], of its file; `block`, int32 [n], samples of one
      channel in a block of the stream.
    """
    payload, readable = _read_bytes(paths, reads, on_unreadable)
    channels = reads["channels"][0]
    branches = [
        functools.partial(decode_to_config, payload, format_, channels, config)
        for format_ in formats
    ]
    frames = branches[0]() if len(formats) == 1 else _switch(branches, formats, reads)
    samples = _split_into_chunks(frames, reads, formats, config)
    stop = tf.where(tf.gather(readable, chunks["read"]), chunks["stop"], UNREADABLE)
    stop = tf.cast(stop, tf.int32)
    return {
        "samples": pad(samples, stop),
        "first": tf.zeros_like(stop),
        "stop": stop,
        "channel": tf.cast(chunks["channel"], tf.int32),
        "channels": tf.cast(chunks["channels"], tf.int32),
        "position": chunks["position"],
        "frames": chunks["frames"],
        "block": tf.fill(tf.shape(stop), config.stereo_blocking_n),
    }


def decode_to_config(
    payload: tf.Tensor,  # uint8 [bytes], whole frames
    format_: Format,
    channels: tf.Tensor | int,
    config: PipelineConfig,
) -> tf.Tensor:  # `transforms.sample_dtype` [F, C]
    """Decodes frames, with the channels and the depth that a config asks for."""
    encoding, depth = format_.encoding, format_.encoding.depth
    # At full depth, so that the average is rounded once, not twice.
    if config.downmix and format_.channels == 2 and depth < 32:
        stereo = decode_stereo(payload, encoding)
        return downmix_stereo(*stereo, depth, to=config.depth)[:, tf.newaxis]
    frames = decode(payload, encoding, format_.channels or channels)
    if config.downmix:
        frames = downmix(frames)[:, tf.newaxis]
    return requantize(frames, depth, to=config.depth)


def _switch(branches: list, formats: tuple[Format, ...], reads: Reads) -> tf.Tensor:
    encoding, channels = reads["encoding"][0], tf.minimum(reads["channels"][0], 3)
    known = np.array([(format_.encoding, format_.channels or 3) for format_ in formats])
    is_it = (encoding == known[:, 0]) & (channels == known[:, 1])
    return tf.switch_case(tf.argmax(is_it, output_type=tf.int32), branches)


def _split_into_chunks(
    frames: tf.Tensor,  # [sum of reads["slot_frames"], C]
    reads: Reads,
    formats: tuple[Format, ...],
    config: PipelineConfig,
) -> tf.Tensor:  # [n, L]
    """Interleaves channels in blocks and splits each read into chunks, the last one filled up."""

    def one_channel() -> tf.Tensor:  # A slot is whole chunks.
        return tf.reshape(frames, [-1, config.chunk_size])

    def many_channels() -> tf.Tensor:
        def split(
            end: tf.Tensor, size: tf.Tensor, skip: tf.Tensor, samples: tf.Tensor
        ) -> tf.Tensor:
            stream = block(frames[end - size : end], config.stereo_blocking_n)
            stream = tf.pad(stream[skip : skip + samples], [[0, -samples % config.chunk_size]])
            return tf.reshape(stream, [-1, config.chunk_size])

        names = ("slot_frames", "skip", "samples")
        slots = (tf.cumsum(reads["slot_frames"]), *(reads[name] for name in names))
        # A dataset, since reads fill different numbers of chunks, which tf.map_fn cannot stack.
        chunked = tf.data.Dataset.from_tensor_slices(slots).map(split)
        return chunked.rebatch(tf.reduce_sum(reads["chunks"])).get_single_element()

    is_mono = {config.downmix or format_.channels == 1 for format_ in formats}
    if is_mono == {True}:
        return one_channel()
    samples = tf.cond(tf.equal(tf.shape(frames)[1], 1), one_channel, many_channels)
    return tf.ensure_shape(samples, [None, config.chunk_size])


def _read_bytes(
    paths: tf.Tensor, reads: Reads, on_unreadable: OnUnreadable | None
) -> tuple[tf.Tensor, tf.Tensor]:  # uint8 [bytes], bool [P]
    names = ("begin", "length", "slot_bytes", "size", "mtime_ns")
    inputs, outputs = [paths, *(reads[name] for name in names)], [tf.uint8, tf.bool]
    function = on_unreadable and functools.partial(read_ranges, on_unreadable=on_unreadable)
    payload, readable = call_python(READ, function, inputs, outputs)
    return tf.ensure_shape(payload, [None]), tf.ensure_shape(readable, [None])
