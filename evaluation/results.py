"""The results of an evaluation.

N files, K bins. Bits and samples are kept as sums, and divided once, at the end.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from pipeline.catalogue.catalogue import Skipped
from runtime.formatting import format_number


class Noted(NamedTuple):
    """A file that is used although something is wrong with it, such as its truncation."""

    path: str
    problem: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Bins:
    """The bits of the model over ranges of some quantity.

    Attributes:
      edges: float64 [K + 1]; bin k is edges[k] <= x < edges[k + 1].
      samples: int64 [K], samples in each bin.
      bits: float64 [K], their total cost under the model.
    """

    edges: np.ndarray
    samples: np.ndarray
    bits: np.ndarray

    @property
    def bits_per_sample(self) -> np.ndarray:  # float64 [K], NaN where a bin is empty
        """Returns the bits per sample of each bin."""
        with np.errstate(invalid="ignore"):
            return self.bits / self.samples


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CodecScore:
    """The size of each file, encoded by a codec.

    Attributes:
      codec: such as "FLAC -8".
      version: of the program or library, such as "libFLAC 1.4.3"; empty if unknown.
      bits: float64 [N], without the container if `container_bits` is known; NaN if the codec
        cannot encode the file.
      container_bits: float64 [N], headers and other bits without audio; NaN if they cannot be
        separated from the rest and are counted in `bits`.
      samples: int64 [N], samples that were encoded.
      depth: int64 [N], bits per uncompressed sample.
      remark: why some files could not be encoded; else empty.
    """

    codec: str
    version: str
    bits: np.ndarray
    container_bits: np.ndarray
    samples: np.ndarray
    depth: np.ndarray
    remark: str = ""

    def __repr__(self) -> str:
        known = np.isfinite(self.bits)
        rate = _rate(self.bits[known], self.samples[known])
        files = f"{known.sum():,} of {len(known):,} files"
        return f"CodecScore({self.codec!r}, {files}, {rate:.3f} bits per sample)"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Evaluation:
    """How many bits a model and other codecs need for some files.

    Attributes:
      names: paths of the files relative to their folders; where several folders hold the same, with
        the folder, see `distinct_names`.
      samples: int64 [N], samples of each file that the model codes: after the downmix, without
        padding.
      model_bits: float64 [N], cost of each file under the model.
      depth: bits per uncompressed sample.
      by_position: over the position in the chunk, or segment, in samples.
      by_loudness: over the RMS level of a chunk in dB relative to the amplitude of full scale; the
        lowest edge is -inf.
      cost_parts: float64 [N] each, the parts of `model_bits` by name, such as "upper byte" and
        "lower byte"; one or none if the model does not split its cost.
      order0_bits_per_sample: empirical order-0 entropy of the samples; NaN if there are none.
      codecs: scores on the same samples as the model, as whole files.
      chunked: likewise, with every chunk a separate stream; empty if not measured.
      native: scores on the files' own samples, before downmix and requantization.
      compressed: likewise, of the files that `compress` makes with the model; None if not measured.
      skipped: files that are not part of the results, and why.
      noted: files that are part of the results although something is wrong with them, and what.
      model_bytes: size of the model file; 0 if there is none.
      settings: of the evaluation, as JSON values: `model` (path), `folders`, `split`, ...
      wall_time_s: time that the model took, in seconds.
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
    compressed: CodecScore | None = None
    skipped: tuple[Skipped, ...] = ()
    noted: tuple[Noted, ...] = ()
    model_bytes: int = 0
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    wall_time_s: float = 0.0

    @property
    def bits_per_sample(self) -> float:
        """The figure of merit, all bits over all samples."""
        return _rate(self.model_bits, self.samples)

    def __repr__(self) -> str:
        codecs = ", ".join(score.codec for score in self.codecs) or "none"
        return (
            f"Evaluation({format_number(len(self.names), 'file')}, {self.samples.sum():,} samples, "
            f"{self.bits_per_sample:.3f} bits per sample; codecs: {codecs})"
        )


def _rate(bits: np.ndarray, samples: np.ndarray) -> float:
    """Returns all bits over all samples; NaN where there are none."""
    with np.errstate(invalid="ignore"):
        return float(bits.sum() / samples.sum())
