"""Performs reads: bytes in, chunks out.

P reads, n chunks, L chunk size, F frames, C channels.
"""

import functools
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from pipeline.config import PipelineConfig
from pipeline.reading.byte_ranges import OnUnreadable, read_ranges
from pipeline.transforms import block, channel_of, downmix, pad, requantize
from pipeline.wav.decode import decode
from runtime.private_apis import register_py_func

UNREADABLE = -1
"""The `stop` of a chunk whose file could not be read: none of its samples is scored."""

READS_TOKEN = "wavestream_read_ranges_1"
"""Name of `read_ranges` in graphs for other processes; it ends in the version of the signature."""

Reads = dict[str, tf.Tensor]
Batch = dict[str, tf.Tensor]


def is_scored(
    batch: Mapping[str, np.ndarray],  # see `read_chunks`
) -> np.ndarray:  # bool [..., n, L]
    """Returns which samples are scored; none of a chunk that is UNREADABLE."""
    index = np.arange(batch["samples"].shape[-1])
    return (index >= batch["first"][..., np.newaxis]) & (index < batch["stop"][..., np.newaxis])


def read_chunks(
    reads: Reads,  # each [P]; see `read_plan.plan_reads`
    config: PipelineConfig,
    on_unreadable: OnUnreadable | None,
) -> Batch:  # each [n, ...]
    """Performs reads that share one encoding and one number of channels.

    Args:
      reads: what to read.
      config: how frames become chunks.
      on_unreadable: see `byte_ranges.OnUnreadable`; None makes a graph for another process, see
        `serve_reads`.

    Returns:
      `samples`, signed integers [n, L] of type `transforms.sample_dtype`, padded with silence;
      `first` and `stop`, int32 [n]: the samples at [first, stop) are scored; `channels`, int32 [n],
      in the chunk's stream; `channel`, int32 [n], and `position` in the stream, int64 [n], of the
      chunk's first sample.
    """
    encoding, channels = reads["encoding"][0], reads["channels"][0]
    payload, readable = _read_bytes(reads, on_unreadable)
    frames = decode_to_config(payload, encoding, channels, config)
    metadata = _chunk_metadata(reads, readable, config)
    chunks = _split_into_chunks(frames, reads, config)
    return {"samples": pad(chunks, metadata["stop"]), **metadata}


def decode_to_config(
    payload: tf.Tensor,  # uint8 [bytes], whole frames
    encoding: tf.Tensor,  # int32 [], an `Encoding`
    channels: tf.Tensor,  # int32 []
    config: PipelineConfig,
) -> tf.Tensor:  # `transforms.sample_dtype` [F, C]
    """Decodes frames, with the channels and the depth that a config asks for."""
    frames, depth = decode(payload, encoding, channels)
    # At full depth, so that the average is rounded once, not twice.
    if config.downmix:
        frames = downmix(frames, depth)
    return requantize(frames, depth, to=config.depth)


def _split_into_chunks(
    frames: tf.Tensor,  # [sum of reads["slot_frames"], C]
    reads: Reads,
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

    samples = tf.cond(tf.equal(tf.shape(frames)[1], 1), one_channel, many_channels)
    return tf.ensure_shape(samples, [None, config.chunk_size])


def serve_reads(on_unreadable: OnUnreadable) -> None:
    """Registers `read_ranges` for graphs of other processes, made with `on_unreadable=None`.

    A graph does not contain Python functions, but their tokens in a registry of the process that
    runs it: READS_TOKEN is the one that both sides agree on.
    """
    register_py_func(READS_TOKEN, functools.partial(read_ranges, on_unreadable=on_unreadable))


def _read_bytes(
    reads: Reads, on_unreadable: OnUnreadable | None
) -> tuple[tf.Tensor, tf.Tensor]:  # uint8 [bytes], bool [P]
    names = ("path", "begin", "length", "slot_bytes", "size", "mtime_ns")
    inputs, outputs = [reads[name] for name in names], [tf.uint8, tf.bool]
    if on_unreadable is None:
        payload, readable = tf.raw_ops.PyFuncStateless(
            input=inputs, token=READS_TOKEN, Tout=outputs
        )
    else:
        function = functools.partial(read_ranges, on_unreadable=on_unreadable)
        payload, readable = tf.numpy_function(function, inputs, outputs, stateful=False)
    return tf.ensure_shape(payload, [None]), tf.ensure_shape(readable, [None])


def _chunk_metadata(reads: Reads, readable: tf.Tensor, config: PipelineConfig) -> Batch:  # each [n]
    """Returns the arrays of a batch other than `samples`; see `read_chunks`."""
    ends = tf.cumsum(reads["chunks"])
    number = tf.range(ends[-1])
    read = tf.searchsorted(ends, number, side="right")
    per_chunk = {
        name: tf.gather(reads[name], read) for name in ("chunks", "position", "frames", "samples")
    }
    before = (number - tf.gather(ends, read) + per_chunk["chunks"]) * config.chunk_size
    position = per_chunk["position"] + before
    length = tf.minimum(per_chunk["samples"] - before, config.chunk_size)
    stop = tf.where(tf.gather(readable, read), tf.cast(length, tf.int32), UNREADABLE)
    channels = tf.constant(1) if config.downmix else reads["channels"][0]
    channel = channel_of(position, per_chunk["frames"], channels, config.stereo_blocking_n)
    return {
        "first": tf.zeros_like(stop),
        "stop": stop,
        "channel": channel,
        "channels": tf.fill(tf.shape(stop), channels),
        "position": position,
    }
