"""Channels are taken out of chunks of blocks."""

import numpy as np
import pytest

from models.predictors.channels import channel_indices
from runtime.stereo_blocks import locate


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("block", [1, 4, 8])
@pytest.mark.parametrize("frames", [40, 37, 3])
def test_every_sample_is_in_one_channel_and_in_time(channels, block, frames):
    chunk = 16
    stream = np.arange(frames * channels)
    of_channel, of_frame = locate(stream, frames, channels, block)
    seen = []
    for position in range(0, stream.size, chunk):
        stop = min(chunk, stream.size - position)
        here = stream[position : position + stop]
        for own, other in channel_indices(stop, position, frames, channels, block):
            places = here[own]
            assert len(set(of_channel[places])) == 1
            assert (np.diff(of_frame[places]) > 0).all()
            if other.size:
                others = here[other]
                assert (of_channel[others] == of_channel[places[0]] - 1).all()
                assert others.size >= own.size
                assert of_frame[others][: own.size].tolist() == of_frame[places].tolist()
            seen.extend(places.tolist())
    assert sorted(seen) == stream.tolist()


def test_the_right_channel_knows_the_left_one():
    (left, none), (right, other) = channel_indices(16, 32, 100, 2, 8)
    assert none.size == 0
    assert left.tolist() == other.tolist() == list(range(8))
    assert right.tolist() == list(range(8, 16))


def test_a_chunk_that_could_not_be_read_has_no_channels():
    assert not list(channel_indices(-1, 0, 100, 2, 8))
