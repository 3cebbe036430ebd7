"""Reading pieces of files: bytes in, chunks out.

P pieces, n chunks, L chunk size, F frames, C channels.
"""

import functools

import numpy as np
import tensorflow as tf

from pipeline.config import PipelineConfig
from pipeline.reading.byte_ranges import OnUnreadable, read_ranges
from pipeline.transforms import block, downmix, quantize
from pipeline.wav.decode import decode
from runtime.private_apis import register_py_func

UNREADABLE = -1
"""The length of a chunk whose file could not be read."""

READS_TOKEN = "wavestream_read_ranges_1"
"""Name of `read_ranges` in graphs for other processes; the number changes with its contract."""

Pieces = dict[str, tf.Tensor]


def real_samples(
    lengths: np.ndarray,  # int [..., n]
    chunk_size: int,
) -> np.ndarray:  # bool [..., n, L]
    """Returns which symbols of chunks are samples, not padding; none of one that is UNREADABLE."""
    return np.arange(chunk_size) < lengths[..., np.newaxis]


def read_pieces(
    pieces: Pieces,  # each [P]; see `chunks.pieces`
    config: PipelineConfig,
    on_unreadable: OnUnreadable | None,
) -> tuple[tf.Tensor, tf.Tensor]:  # uint8 or uint16 [n, L], int32 [n]
    """Reads some pieces that have one encoding and one number of channels.

    Returns:
      The chunks and their lengths: the samples that are not padding, or UNREADABLE.
    """
    encoding, channels = pieces["encoding"][0], pieces["channels"][0]
    payload, readable = _read_bytes(pieces, on_unreadable)
    frames, depth = decode(payload, encoding, channels)
    if config.downmix:
        frames = downmix(frames, depth)
    frames = quantize(frames, depth, bits=config.bits)
    symbols = chunk(frames, pieces, config)
    return symbols, _lengths(pieces, readable, config.chunk_size)


def chunk(
    frames: tf.Tensor,  # [sum of pieces["room_frames"], C]
    pieces: Pieces,
    config: PipelineConfig,
) -> tf.Tensor:  # [n, L]
    """Blocks the channels of each piece and cuts it into chunks, the last one padded."""

    def one_channel() -> tf.Tensor:  # The room of each piece is whole chunks already.
        return tf.reshape(frames, [-1, config.chunk_size])

    def many_channels() -> tf.Tensor:
        def cut(
            end: tf.Tensor, room: tf.Tensor, skip: tf.Tensor, samples: tf.Tensor, count: tf.Tensor
        ) -> tf.Tensor:
            stream = block(frames[end - room : end], config.stereo_blocking_n)
            stream = stream[skip : skip + samples]
            padding = tf.zeros([count * config.chunk_size - samples], stream.dtype)
            return tf.reshape(tf.concat([stream, padding], axis=0), [-1, config.chunk_size])

        names = ("room_frames", "skip", "samples", "chunks")
        rooms = (tf.cumsum(pieces["room_frames"]), *(pieces[name] for name in names))
        cuts = tf.data.Dataset.from_tensor_slices(rooms).map(cut)
        return cuts.rebatch(tf.reduce_sum(pieces["chunks"])).get_single_element()

    symbols = tf.cond(tf.equal(tf.shape(frames)[1], 1), one_channel, many_channels)
    return tf.ensure_shape(symbols, [None, config.chunk_size])


def serve_reads(on_unreadable: OnUnreadable) -> None:
    """Lets graphs that another process made with `on_unreadable=None` read here.

    A graph holds no Python, but the token of a function in a registry of its process: both sides
    agree on one.
    """
    register_py_func(READS_TOKEN, functools.partial(read_ranges, on_unreadable=on_unreadable))


def _read_bytes(pieces: Pieces, on_unreadable: OnUnreadable | None) -> tuple[tf.Tensor, tf.Tensor]:
    names = ("path", "begin", "length", "room", "size", "mtime_ns")
    inputs, outputs = [pieces[name] for name in names], [tf.uint8, tf.bool]
    if on_unreadable is None:
        payload, readable = tf.raw_ops.PyFuncStateless(
            input=inputs, token=READS_TOKEN, Tout=outputs
        )
    else:
        function = functools.partial(read_ranges, on_unreadable=on_unreadable)
        payload, readable = tf.numpy_function(function, inputs, outputs, stateful=False)
    return tf.ensure_shape(payload, [None]), tf.ensure_shape(readable, [None])


def _lengths(pieces: Pieces, readable: tf.Tensor, chunk_size: int) -> tf.Tensor:  # int32 [n]
    """How many samples of each chunk are not padding."""
    ends = tf.cumsum(pieces["chunks"])
    number = tf.range(ends[-1])
    piece = tf.searchsorted(ends, number, side="right")
    behind = (tf.gather(ends, piece) - number) * chunk_size  # Room from here to the piece's end.
    padding = tf.gather(pieces["chunks"] * chunk_size - pieces["samples"], piece)
    lengths = tf.cast(tf.minimum(behind - padding, chunk_size), tf.int32)
    return tf.where(tf.gather(readable, piece), lengths, UNREADABLE)
