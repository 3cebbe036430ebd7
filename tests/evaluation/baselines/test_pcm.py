"""Samples as the bytes and the WAV that codecs read."""

import io

import numpy as np
import pytest
import soundfile

from evaluation.baselines.pcm import PcmFormat, write_audio
from tests.evaluation.baselines.signals import stream


@pytest.mark.parametrize("depth", [8, 16, 24, 32])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_another_reader_reads_the_wav(depth, channels):
    limit = 2 ** (depth - 1)
    samples = np.random.default_rng(0).integers(-limit, limit, (77, channels), np.int32)
    file = io.BytesIO()
    write_audio(file, stream(samples, depth)[0], np.split(samples, [1, 50]), format="WAV")
    content = file.getvalue()
    assert int.from_bytes(content[4:8], "little") == len(content) - 8
    assert len(content) % 2 == 0
    assert content[20:22] == b"\1\0"  # the plain format tag: some programs know no other

    file.seek(0)
    read, sample_rate = soundfile.read(file, dtype="int32", always_2d=True)
    assert sample_rate == 44100
    np.testing.assert_array_equal(read >> (32 - depth), samples)


def test_another_depth_is_refused():
    with pytest.raises(ValueError, match="8, 16, 24 or 32, got 12"):
        PcmFormat(sample_rate=44100, channels=1, depth=12, frames=1)
