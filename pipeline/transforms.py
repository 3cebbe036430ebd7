"""The transforms of samples: downmix, requantize, block, pad.

Each is a plain function of a tensor, exact in integers; a lossless one stands beside its inverse.
F frames, C channels, N the block length, L chunk size.
"""

import tensorflow as tf

_FLOAT_BITS = 25
"""Of signed integers that float32 holds exactly."""


def downmix(
    frames: tf.Tensor,  # int32 [F, C]
) -> tf.Tensor:  # int32 [F]
    """Averages the channels, rounding toward minus infinity."""
    if frames.shape[1] == 1:
        return tf.reshape(frames, [-1])
    total = tf.reduce_sum(tf.cast(frames, tf.int64), axis=1)
    return tf.cast(total // tf.shape(frames, tf.int64)[1], tf.int32)


def downmix_stereo(
    left: tf.Tensor,  # int32 [F], `depth` bits
    right: tf.Tensor,  # int32 [F], likewise
    depth: int,  # at most 24, so that the sum fits
    *,
    to: int,
) -> tf.Tensor:  # `sample_dtype(to)` [F]
    """Averages two channels and requantizes: `downmix` and `requantize` at once, faster."""
    total = left + right
    if to <= depth:  # The mean is the sum, read as a number of one bit more.
        return requantize(total, depth + 1, to=to)
    return requantize(tf.bitwise.right_shift(total, 1), depth, to=to)


def requantize(
    samples: tf.Tensor,  # int32, any shape, signed, `depth` bits
    depth: int,  # bits of a source sample
    *,
    to: int,
) -> tf.Tensor:  # `sample_dtype(to)`, the same shape
    """Keeps the top `to` bits of each sample, rounding toward minus infinity.

    A source of fewer bits is scaled up: full scale stays full scale.
    """
    if to < depth <= _FLOAT_BITS:  # TensorFlow vectorises this, and not right_shift: half the time.
        samples = tf.floor(tf.cast(samples, tf.float32) * 2.0 ** (to - depth))
    elif depth > to:
        samples = tf.bitwise.right_shift(samples, depth - to)
    elif depth < to:
        samples = tf.bitwise.left_shift(samples, to - depth)
    return tf.cast(samples, sample_dtype(to))


def sample_dtype(depth: int) -> tf.DType:
    """Returns the narrowest signed type for a depth: a window of batches is buffered in memory."""
    return tf.int8 if depth <= 8 else tf.int16 if depth <= 16 else tf.int32


def block(
    frames: tf.Tensor,  # any type, [F, C]
    length: int,
) -> tf.Tensor:  # the same type, [F * C]
    """Interleaves the channels in blocks: L[0:N] R[0:N] L[N:2N] R[N:2N] ...

    The last block may be short, in every channel alike. One channel: the identity.
    """

    def interleave() -> tf.Tensor:
        count, channels = tf.shape(frames)[0], tf.shape(frames)[1]
        whole = count // length * length
        blocks = tf.reshape(frames[:whole], [-1, length, channels])
        last = tf.transpose(frames[whole:])
        return tf.concat(
            [tf.reshape(tf.transpose(blocks, [0, 2, 1]), [-1]), tf.reshape(last, [-1])], axis=0
        )

    return tf.cond(tf.equal(tf.shape(frames)[1], 1), lambda: tf.reshape(frames, [-1]), interleave)


def unblock(
    stream: tf.Tensor,  # any type, [F * C]
    length: int,
    channels: int,
) -> tf.Tensor:  # the same type, [F, C]
    """The inverse of `block`."""
    whole = tf.size(stream) // (length * channels) * (length * channels)
    blocks = tf.transpose(tf.reshape(stream[:whole], [-1, channels, length]), [0, 2, 1])
    last = tf.transpose(tf.reshape(stream[whole:], [channels, -1]))
    return tf.concat([tf.reshape(blocks, [-1, channels]), last], axis=0)


def pad(
    chunks: tf.Tensor,  # any type, [n, L]
    stop: tf.Tensor,  # int32 [n]
) -> tf.Tensor:  # the same type, [n, L]
    """Puts silence behind the last sample of each chunk; no figure may depend on the value."""
    length = chunks.shape[1]
    short = tf.where(stop < length)  # Few: masking all chunks took a sixth of the time of reading.

    def padded() -> tf.Tensor:
        rows = tf.gather_nd(chunks, short)
        mask = tf.sequence_mask(tf.gather_nd(stop, short), length)
        rows = tf.where(mask, rows, tf.zeros_like(rows))
        return tf.tensor_scatter_nd_update(chunks, short, rows)

    return tf.cond(tf.size(short) > 0, padded, lambda: chunks)
