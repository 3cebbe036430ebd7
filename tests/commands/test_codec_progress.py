"""What is said while files are compressed."""

from commands.codec_progress import CodecProgress, compression_ratio, decompression_ratio


def test_a_line_every_minute(caplog):
    now = [0.0]
    progress = CodecProgress(3, 4_000, compression_ratio, clock=lambda: now[0])
    with caplog.at_level("INFO", "wavestream"):
        now[0] = 59.0
        progress.add(500, 200, 60.0)
        progress.end_file()
        assert not caplog.messages
        now[0] = 100.0
        progress.add(500, 200, 140.0)
    assert progress.audio_seconds == 200.0
    [line] = caplog.messages
    assert "1 of 3 files, 2.0x realtime, ratio 0.400, 0:01:40 so far, 0:05:00 left" in line


def test_ratios_are_of_the_compressed_size():
    assert compression_ratio(100, 40) == decompression_ratio(40, 100) == 0.4
    assert compression_ratio(100, 101) == 1.01
    assert compression_ratio(0, 30) == 1.0
