"""Where the samples of a WAV file lie, read from its header alone.

A PCM payload is a random-access record file: once `read_header` has returned its offset, encoding
and number of channels, frame i lies at a known byte.
"""

import dataclasses

from pipeline.wav.encoding import Encoding, parse_fmt
from pipeline.wav.riff import UNKNOWN_SIZE, WavError, walk_riff
from runtime.filesystem import ReadAt


@dataclasses.dataclass(frozen=True, kw_only=True)
class WavHeader:
    """What is needed to read the samples: they are `frames * frame_bytes` contiguous bytes.

    Attributes:
      encoding: how a sample is stored.
      channels: samples in a frame, interleaved.
      sample_rate: in Hz.
      payload_offset: where the first frame begins, in bytes from the beginning of the file.
      frames: whole frames in the file.
      note: what is wrong with a file that can be used nevertheless, such as a truncated payload;
        else empty.
    """

    encoding: Encoding
    channels: int
    sample_rate: int
    payload_offset: int
    frames: int
    note: str = ""

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame."""
        return self.channels * self.encoding.bytes_per_sample


def read_header(read_at: ReadAt, file_size: int) -> WavHeader:
    """Returns where the samples of a WAV file (RIFF, RF64 or BW64) lie, and how they are stored.

    Args:
      read_at: reads bytes of the file; called once for most files.
      file_size: bytes in the file.

    Raises:
      WavError: the file is not a WAV, is damaged, or holds an encoding that is not supported.
    """
    riff = walk_riff(read_at, file_size)
    if riff.fmt is None:
        raise WavError("there is no 'fmt ' chunk: the header is damaged or truncated")
    encoding, channels, sample_rate = parse_fmt(riff.fmt)
    if riff.data is None:
        raise WavError("there is no 'data' chunk: the file is truncated or holds no samples")

    offset, declared = riff.data
    available = max(file_size - offset, 0)
    excess = file_size - 8 - riff.riff_size
    note = ""
    # Sizes are declared when a recording begins, and corrected, if at all, at its end: trust the
    # size of the file where the header shows that this did not happen.
    if declared == 0 and 8 + riff.riff_size <= offset and riff.fmt_is_first:
        declared = available
        note = "the recording was not completed: the header gives no sizes"
    elif excess > 0 and excess % 2**32 == 0:
        declared += excess
        note = "larger than the 32-bit sizes in its header: they are taken modulo 4 GiB"
    elif available < declared != UNKNOWN_SIZE:
        note = f"truncated: {available} of {declared} bytes of samples are there"
    frames = min(declared, available) // (channels * encoding.bytes_per_sample)
    if frames == 0:
        raise WavError("it holds no audio (0 frames)")
    return WavHeader(
        encoding=encoding,
        channels=channels,
        sample_rate=sample_rate,
        payload_offset=offset,
        frames=frames,
        note=note,
    )
