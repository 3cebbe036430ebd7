"""From samples to symbols and back: downmix, quantize, block.

Each is a plain function of a tensor, exact in integers. F frames, C channels, N the block length.
"""

import tensorflow as tf


def downmix(
    frames: tf.Tensor,  # int32 [F, C]
    depth: tf.Tensor,  # int32 [], bits of a sample
) -> tf.Tensor:  # int32 [F, 1]
    """Averages the channels, rounding toward minus infinity."""

    def stereo() -> tf.Tensor:  # The usual case, three times as fast as the general one.
        total = frames[:, 0] + frames[:, 1]
        return tf.bitwise.right_shift(total, 1)[:, tf.newaxis]

    def any_number() -> tf.Tensor:
        total = tf.reduce_sum(tf.cast(frames, tf.int64), axis=1, keepdims=True)
        return tf.cast(total // tf.shape(frames, tf.int64)[1], tf.int32)

    channels = tf.shape(frames)[1]
    mono = tf.case(
        [
            (tf.equal(channels, 1), lambda: frames),
            (tf.equal(channels, 2) & (depth < 32), stereo),  # The sum of two fits in 32 bits.
        ],
        default=any_number,
    )
    return tf.ensure_shape(mono, [None, 1])


def quantize(
    samples: tf.Tensor,  # int32, any shape, signed, `depth` bits
    depth: tf.Tensor,  # int32 [], bits of a source sample: 8, 16, 24 or 32
    *,
    bits: int,
) -> tf.Tensor:  # uint8 or uint16, the same shape
    """Keeps the top `bits` bits of each sample, as an unsigned symbol: -2^(depth-1) becomes 0."""
    extra = depth - bits
    top = tf.bitwise.right_shift(samples, tf.maximum(extra, 0))
    if bits > 8:  # An 8-bit source has fewer bits than asked for.
        top = tf.bitwise.left_shift(top, tf.maximum(-extra, 0))
    return tf.cast(top + 2 ** (bits - 1), {8: tf.uint8, 16: tf.uint16}[bits])


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
