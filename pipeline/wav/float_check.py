"""Whether the float samples of a file have an integer near them: full scale is 1."""

from collections.abc import Iterator

import numpy as np

from pipeline.wav.header import WavHeader
from pipeline.wav.riff import WavError
from runtime.filesystem import ReadAt

_BLOCK_BYTES = 1 << 20
_LOUDEST_MIX = 16.0  # 24 dB above full scale


def check_floats(read_at: ReadAt, header: WavHeader) -> list[str]:
    """Reads all samples of a float file, in bounded memory.

    Args:
      read_at: reads bytes of the file.
      header: of the file.

    Returns:
      A note on the samples beyond full scale, which are clipped when decoded, if there are any.

    Raises:
      WavError: a sample is NaN or infinite, or they are plainly scaled to the range of integers.
    """
    peak, beyond, within, integers = 0.0, 0, 0, True
    for first, samples in _blocks(read_at, header):
        magnitude = np.abs(samples)
        block_peak = float(magnitude.max())  # NaN, too, if there is one.
        if not np.isfinite(block_peak):
            frame = (first + int(np.isfinite(samples).argmin())) // header.channels
            raise WavError(
                f"it holds NaN or infinity (first in frame {frame}); "
                "such samples have no integer value"
            )
        peak = max(peak, block_peak)
        within += int(np.count_nonzero(magnitude))  # Zeros say nothing of the scale.
        if block_peak >= 1:
            within -= int(np.count_nonzero(magnitude >= 1))
            beyond += int(np.count_nonzero(magnitude > 1))
        integers = integers and bool((magnitude == np.rint(magnitude)).all())
    if not beyond:
        return []
    # Integers written as floats; what a loud mix has beyond full scale is neither.
    if beyond > within and (peak >= _LOUDEST_MIX or integers):
        raise WavError(
            f"its floats are scaled to integers (peak {peak:.6g}), expected -1 to 1; divide them "
            "by that full scale, e.g. with ffmpeg -af volume=1/32768 -c:a pcm_s16le"
        )
    share = 100 * beyond / (header.frames * header.channels)
    return [f"peak {peak:.4g}: {share:.3g}% of its samples are clipped"]


def _blocks(read_at: ReadAt, header: WavHeader) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the number of the first sample and the samples, block by block."""
    encoding = header.encoding
    size, order = encoding.bytes_per_sample, ">" if encoding.is_big_endian else "<"
    end = header.payload_offset + header.frames * header.frame_bytes
    for offset in range(header.payload_offset, end, _BLOCK_BYTES):
        block = read_at(offset, min(_BLOCK_BYTES, end - offset))
        samples = np.frombuffer(block, f"{order}f{size}", len(block) // size)
        if len(samples):
            yield (offset - header.payload_offset) // size, samples
