"""Where the samples of a WAV file lie, read from its header alone.

A PCM payload is a random-access record file: once `read_header` has returned its offset, encoding
and number of channels, frame i lies at a known byte.
"""

import dataclasses

from pipeline.wav.data_size import measure_data
from pipeline.wav.encoding import Encoding, parse_fmt
from pipeline.wav.riff import WAV_MAGICS, WavError, buffered, walk_riff
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
      note: what is wrong with a file that can be used nevertheless, such as a truncated payload,
        and what was guessed or left out; else empty.
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

    @property
    def truncation(self) -> str:
        """The part of the note that says how many of the samples are there; empty for all."""
        return next((x for x in self.note.split("; ") if x.startswith("truncated: ")), "")


def read_header(read_at: ReadAt, file_size: int, *, allow_empty: bool = False) -> WavHeader:
    """Returns where the samples of a WAV file lie, and how they are stored.

    Args:
      read_at: reads bytes of the file; called once for most files, twice where RIFF chunks lie
        behind the samples.
      file_size: bytes in the file.
      allow_empty: whether it may hold no frames.

    Raises:
      WavError: the file is not a WAV (RIFF, RIFX, RF64 or BW64), is damaged, holds no frames, or an
        encoding that is not supported.
    """
    read_file = buffered(read_at, file_size)
    begin = _id3_bytes(read_file)
    notes = [f"an ID3 tag of {begin} bytes before the header is not used"] if begin else []

    def read(offset: int, count: int) -> bytes:
        return read_file(begin + offset, count)

    size = file_size - begin
    riff = walk_riff(read, size)
    if riff.fmt is None:
        raise WavError("there is no 'fmt ' chunk: the header is damaged or truncated")
    encoding, channels, sample_rate = parse_fmt(riff.fmt, riff.byte_order)
    if riff.data is None:
        raise WavError("there is no 'data' chunk: the file is truncated or holds no samples")
    data_bytes, guessed = measure_data(read, riff, size)
    frames = data_bytes // (channels * encoding.bytes_per_sample)
    if frames == 0 and not allow_empty:
        raise WavError("it holds no audio (0 frames)")
    return WavHeader(
        encoding=encoding,
        channels=channels,
        sample_rate=sample_rate,
        payload_offset=begin + riff.data[0],
        frames=frames,
        note="; ".join(notes + guessed),
    )


def _id3_bytes(read: ReadAt) -> int:
    """Returns the size of an ID3v2 tag that a WAV follows; else 0."""
    head = read(0, 10)
    if not head.startswith(b"ID3") or len(head) < 10:
        return 0
    size = 10
    for place, digits in enumerate(reversed(head[6:10])):  # 7 bits each
        size += (digits & 0x7F) << 7 * place
    if head[5] & 0x10:  # It has a footer.
        size += 10
    return size if read(size, 4) in WAV_MAGICS else 0
