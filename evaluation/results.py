"""What an evaluation found.

N files, K bins. Bits and samples are sums; bits per sample are divided once, at the end.
"""

import dataclasses
from typing import Any

import numpy as np

from pipeline.catalogue.catalogue import Skipped


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Bins:
    """What the model needed over ranges of some quantity.

    Attributes:
      edges: float64 [K + 1]. Bin k holds what is at least edges[k] and below edges[k + 1].
      samples: int64 [K], audio samples in each bin.
      bits: float64 [K], what the model needs for them together.
    """

    edges: np.ndarray
    samples: np.ndarray
    bits: np.ndarray

    @property
    def bits_per_sample(self) -> np.ndarray:  # float64 [K], NaN where a bin is empty
        """Returns the bits per sample of each bin."""
        with np.errstate(invalid="ignore"):
            return self.bits / self.samples


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CodecScore:
    """What a codec needs for each file.

    Attributes:
      codec: such as "FLAC -8".
      version: of the program or library, such as "libFLAC 1.4.3"; empty where it has none.
      bits: float64 [N], without the container where `container_bits` is known; NaN where the codec
        cannot take the file.
      container_bits: float64 [N], of headers and the like, that hold no audio; NaN where they
        cannot be separated from the rest and are counted in `bits`.
      samples: int64 [N], that the codec was given.
      depth: int64 [N], bits of each of these samples, uncompressed.
      remark: why some files have no figure, or why the codec was left out; else empty.
    """

    codec: str
    version: str
    bits: np.ndarray
    container_bits: np.ndarray
    samples: np.ndarray
    depth: np.ndarray
    remark: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """How many bits a model needs for some files, and how many other codecs do.

    Attributes:
      names: of the files, relative to their folder.
      samples: int64 [N], audio samples that the model sees of each file: after the downmix, and
        with the padding left out.
      model_bits: float64 [N], what the model needs for each file.
      depth: bits of one sample, uncompressed.
      by_position: over the position in the chunk, in samples.
      by_loudness: over the loudness of a chunk, its root mean square in decibels, 0 dB being the
        amplitude of full scale; the lowest edge is -inf.
      cost_parts: float64 [N] each, the parts that `model_bits` is the sum of, by their names, such
        as "upper byte" and "lower byte"; one or none where the model knows no parts.
      order0_bits_per_sample: what a coder needs that knows how often each value comes, and no more;
        NaN where there are no samples.
      codecs: on the very samples that the model sees, whole files.
      chunked: the same with every chunk a stream of its own; empty unless asked for.
      native: on the files' own samples, before downmix and quantization.
      skipped: files that are not part of the figures, and why.
      model_bytes: size of the model file; 0 where the model has none.
      settings: how it was done, as JSON values: `model` (path), `folders`, `split`, `pipeline` ...
      wall_time_s: how long the model took over it, in seconds.
    """

    names: tuple[str, ...]
    samples: np.ndarray
    model_bits: np.ndarray
    depth: int
    by_position: Bins
    by_loudness: Bins
    cost_parts: dict[str, np.ndarray]
    order0_bits_per_sample: float
    codecs: tuple[CodecScore, ...] = ()
    chunked: tuple[CodecScore, ...] = ()
    native: tuple[CodecScore, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    model_bytes: int = 0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    wall_time_s: float = 0.0

    @property
    def bits_per_sample(self) -> float:
        """The figure of merit: all bits over all samples."""
        return float(self.model_bits.sum() / self.samples.sum())
