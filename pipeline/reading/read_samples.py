"""The samples of one file, in order: the input of other codecs.

F frames, C channels.
"""

import os
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.byte_ranges import read_ranges
from pipeline.reading.read_chunks import Format, decode_to_config
from pipeline.wav.decode import decode
from pipeline.wav.encoding import Encoding


def read_samples(
    catalogue: Catalogue,
    file: int,
    config: PipelineConfig | None = None,
    *,
    block_bytes: int = 2**22,
) -> Iterator[np.ndarray]:  # int32 [F, C] each
    """Streams the frames of a file, in blocks that bound the memory.

    Args:
      catalogue: the files.
      file: which of them, an index.
      config: downmix and requantize, as for the model. None: the file's own samples, at their own
        depth (32 bits for floats).
      block_bytes: bytes of the file in one read, about.

    Raises:
      OSError: the file can no longer be read, or has changed since it was catalogued.
    """
    path = catalogue.paths[file]
    encoding, channels = Encoding(catalogue.encodings[file]), int(catalogue.channels[file])
    frame_bytes = encoding.bytes_per_sample * channels
    begin = int(catalogue.offsets[file])
    end = begin + int(catalogue.frames[file]) * frame_bytes
    step = max(1, block_bytes // frame_bytes) * frame_bytes
    errors: list[str] = []
    for start in range(begin, end, step):
        size = np.array([min(step, end - start)])
        payload, readable = read_ranges(
            np.array([os.fsencode(path)], object),
            np.array([start]),
            size,
            size,
            catalogue.sizes[file : file + 1],
            catalogue.mtimes_ns[file : file + 1],
            lambda _, reason: errors.append(reason),
        )
        if not readable[0]:
            raise OSError(f"{path!r} can no longer be read: {errors[0]}")
        if config:
            format_ = Format.of(encoding, channels)
            frames = decode_to_config(tf.constant(payload), format_, channels, config)
        else:
            frames = decode(tf.constant(payload), encoding, channels)
        yield tf.cast(frames, tf.int32).numpy()


def depth_of(catalogue: Catalogue, file: int, config: PipelineConfig | None = None) -> int:
    """Returns the bits of a sample that `read_samples` streams: 8, 16, 24 or 32."""
    if config:
        return config.depth
    return Encoding(catalogue.encodings[file]).depth
