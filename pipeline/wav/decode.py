"""The bytes of a WAV payload as exact integers.

Integer samples keep their native scale. Floats are scaled by 2^31 in float64 (where both a 24-bit
and a 32-bit integer sample written as float come back exactly), rounded to nearest and clipped.
F frames, C channels.
"""

import tensorflow as tf

from pipeline.wav.encoding import U8_OFFSET, Encoding


def decode(
    payload: tf.Tensor,  # uint8 [bytes], whole frames
    encoding: tf.Tensor,  # int32 [], an `Encoding`
    channels: tf.Tensor,  # int32 []
) -> tuple[tf.Tensor, tf.Tensor]:  # int32 [F, C], int32 []
    """Decodes frames; returns them and their depth in bits (8, 16, 24 or 32)."""

    # Every branch is traced for every payload, of other encodings, too: each takes whole rows only.
    def rows(size: int) -> tf.Tensor:
        return tf.reshape(payload[: tf.size(payload) // size * size], [-1, size])

    def view(dtype: tf.DType) -> tf.Tensor:  # Reinterprets the bytes without a copy.
        return tf.bitcast(rows(dtype.size), dtype)

    decoders = {
        Encoding.U8: lambda: tf.cast(payload, tf.int32) - U8_OFFSET,
        Encoding.S16: lambda: tf.cast(view(tf.int16), tf.int32),
        Encoding.S24: lambda: _from_24_bits(rows(3)),
        Encoding.S32: lambda: view(tf.int32),
        Encoding.F32: lambda: _from_float(view(tf.float32)),
        Encoding.F64: lambda: _from_float(view(tf.float64)),
    }
    samples = tf.switch_case(encoding, {int(key): value for key, value in decoders.items()})
    depth = tf.gather([key.depth for key in Encoding], encoding)
    return tf.reshape(samples, tf.stack([-1, channels])), depth


def _from_24_bits(triples: tf.Tensor) -> tf.Tensor:
    low, middle = (tf.cast(triples[:, byte], tf.int32) for byte in range(2))
    high = tf.cast(tf.bitcast(triples[:, 2], tf.int8), tf.int32)  # It holds the sign.
    return low + middle * 2**8 + high * 2**16


def _from_float(samples: tf.Tensor) -> tf.Tensor:
    scaled = tf.round(tf.cast(samples, tf.float64) * 2.0**31)
    return tf.cast(tf.clip_by_value(scaled, -(2.0**31), 2.0**31 - 1), tf.int32)
