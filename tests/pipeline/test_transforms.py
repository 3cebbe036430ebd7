"""Downmix, requantization and blocks are exact, eagerly and in the graph."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from pipeline.transforms import block, downmix, downmix_stereo, pad, requantize, unblock
from runtime.stereo_blocks import locate

pytestmark = pytest.mark.both_stacks

INT32 = np.iinfo(np.int32)


@pytest.fixture(params=["eager", "graph"])
def apply(request):
    """Calls a function of tensors eagerly, or as the graph does."""

    def in_graph(function, *tensors):
        dataset = tf.data.Dataset.from_tensors(tensors)
        # No shape is known beforehand, as behind a read.
        signature = [tf.TensorSpec([None] * np.ndim(t), np.asarray(t).dtype) for t in tensors]
        return dataset.map(tf.function(function, signature)).get_single_element().numpy()

    def eagerly(function, *tensors):
        return function(*map(tf.constant, tensors)).numpy()

    return in_graph if request.param == "graph" else eagerly


def blocks(frames, length):
    """The definition, in words of Python."""
    return [
        sample
        for start in range(0, len(frames), length)
        for channel in frames[start : start + length].T
        for sample in channel.tolist()
    ]


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 3, 8])
def test_downmix_is_the_floor_of_the_exact_mean(apply, depth, channels):
    low, high = -(2 ** (depth - 1)), 2 ** (depth - 1) - 1
    rng = np.random.default_rng(depth)
    frames = rng.integers(low, high, [500, channels], endpoint=True).astype(np.int32)
    frames[:200] = rng.choice([low, low + 1, -1, 0, 1, high - 1, high], [200, channels])
    frames[:2] = [[low], [high]]
    expected = [sum(frame) // channels for frame in frames.tolist()]
    actual = apply(lambda x: downmix(tf.ensure_shape(x, [None, channels])), frames)
    np.testing.assert_array_equal(apply(downmix, frames), expected)
    assert actual.dtype == np.int32
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("to", [8, 16])
@pytest.mark.parametrize("depth", [8, 16, 24])
def test_stereo_is_mixed_and_requantized_at_once(apply, depth, to):
    low, high = -(2 ** (depth - 1)), 2 ** (depth - 1) - 1
    frames = np.random.default_rng(depth).integers(low, high, [1000, 2], np.int32, endpoint=True)
    frames[:2] = [[low], [high]]
    actual = apply(lambda x: downmix_stereo(x[:, 0], x[:, 1], depth, to=to), frames)
    expected = apply(lambda x: requantize(downmix(x), depth, to=to), frames)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("to", [8, 16, 24])
@pytest.mark.parametrize("depth", [8, 16, 24, 32])
def test_requantize_keeps_the_top_bits(apply, depth, to):
    low, high = -(2 ** (depth - 1)), 2 ** (depth - 1) - 1
    samples = np.random.default_rng(depth).integers(low, high, 1000, np.int32, endpoint=True)
    samples[:5] = low, -1, 0, 1, high
    expected = [sample * 2**to // 2**depth for sample in samples.tolist()]
    actual = apply(lambda x: requantize(x, depth, to=to), samples)
    assert actual.dtype == {8: np.int8, 16: np.int16, 24: np.int32}[to]
    np.testing.assert_array_equal(actual, expected)
    assert (actual[0], actual[2]) == (-(2 ** (to - 1)), 0)
    if to <= depth:
        assert actual[4] == 2 ** (to - 1) - 1


@pytest.mark.parametrize("depth", [8, 16])
def test_a_source_of_as_many_bits_loses_none(apply, depth):
    samples = np.arange(-(2 ** (depth - 1)), 2 ** (depth - 1)).astype(np.int32)
    same = apply(lambda x: requantize(x, depth, to=depth), samples)
    np.testing.assert_array_equal(same, samples)


def test_blocks_of_two_channels(apply):
    frames = np.array([[0, 10], [1, 11], [2, 12], [3, 13], [4, 14]], np.int8)
    stream = apply(lambda frames: block(frames, 2), frames)
    assert stream.tolist() == [0, 1, 10, 11, 2, 3, 12, 13, 4, 14]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("count", "length"), [(0, 4), (3, 4), (4, 4), (11, 4), (12, 4), (7, 1)])
def test_blocks_are_as_defined_and_can_be_undone(apply, dtype, channels, count, length):
    frames = np.random.default_rng(count).integers(-128, 128, [count, channels]).astype(dtype)
    stream = apply(lambda frames: block(frames, length), frames)
    assert stream.dtype == dtype
    np.testing.assert_array_equal(stream, blocks(frames, length))
    undone = apply(lambda stream: unblock(stream, length, channels), stream)
    assert undone.dtype == dtype
    np.testing.assert_array_equal(undone, frames)


@hypothesis.given(st.integers(0, 70), st.integers(1, 5), st.integers(1, 80), st.integers(0))
@hypothesis.settings(deadline=None)
def test_unblock_is_the_inverse_of_block(count, channels, length, seed):
    frames = (
        np.random.default_rng(seed).integers(-(2**15), 2**15, [count, channels]).astype(np.int16)
    )
    stream = block(tf.constant(frames), length)
    assert stream.numpy().tolist() == blocks(frames, length)
    np.testing.assert_array_equal(unblock(stream, length, channels), frames)
    # The other way round: any stream of whole frames is a stream of blocks.
    other = frames.reshape(-1)
    np.testing.assert_array_equal(
        block(unblock(tf.constant(other), length, channels), length), other
    )


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize(("count", "length"), [(3, 4), (4, 4), (11, 4), (12, 4), (7, 1)])
def test_the_place_of_a_position_is_that_of_the_blocks(channels, count, length):
    channel = np.tile(np.arange(channels), (count, 1))
    frame = np.repeat(np.arange(count)[:, np.newaxis], channels, axis=1)
    position = np.arange(count * channels)
    located = locate(position, count, channels, length)
    assert located[0].tolist() == blocks(channel, length)
    assert located[1].tolist() == blocks(frame, length)


@pytest.mark.parametrize("stop", [[4, 4], [4, 1], [-1, 0]])
def test_padding_is_silence_behind_the_last_sample(apply, stop):
    chunks = np.full((2, 4), -128, np.int8)
    padded = apply(
        lambda chunks, stop: pad(tf.ensure_shape(chunks, [None, 4]), stop), chunks, np.int32(stop)
    )
    assert padded.dtype == np.int8
    assert padded.tolist() == [[-128] * max(n, 0) + [0] * (4 - max(n, 0)) for n in stop]
