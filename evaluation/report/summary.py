"""Every number that an evaluation is shown with, as plain fields.

Tables, verdict, plots and page show what is in a `Summary` and compute nothing, so that
`report.json`, which is its fields, holds all that they say. None stands for what is not known: JSON
has no NaN. N files, K bins.
"""

import dataclasses
from typing import Any

Number = float | None
Numbers = list[float | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interval:
    """An interval over files, in bits per sample."""

    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What a coder needs for the files that it could take.

    Attributes:
      files: how many it could take.
      samples: in these files.
      bits_per_sample: without the container, where `container_is_known`.
      ratio: compressed over raw bits.
      mean_over_files: the mean of the files' own bits per sample.
      with_container: bits per sample of the coded files as they are.
      container_is_known: whether headers and the like can be separated from the rest.
      per_file: bits per sample [N] of each file, `Summary.names`.
      bits_per_file: [N], without the container, where it is known.
      container_bits_per_file: [N].
    """

    files: int = 0
    samples: int = 0
    bits_per_sample: Number = None
    ratio: Number = None
    mean_over_files: Number = None
    with_container: Number = None
    container_is_known: bool = True
    per_file: Numbers = dataclasses.field(default_factory=list)
    bits_per_file: Numbers = dataclasses.field(default_factory=list)
    container_bits_per_file: Numbers = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """The model less a codec, in bits per sample, on the files that the codec could take.

    Attributes:
      model_bits_per_sample: what the model needs for these files.
      difference: below zero where the model needs less.
      relative: the model's bits over the codec's, less 1; None where the codec needs none.
      interval: of the difference, over files; None where they are too few.
      per_file: differences [N].
    """

    model_bits_per_sample: float
    difference: float
    relative: Number
    interval: Interval | None
    per_file: Numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Coder:
    """What is compared: the model, a codec, or a coder of order 0.

    Attributes:
      kind: "model", "codec" or "order0": one that knows how often each value comes, and no more.
      name: as it is shown.
      version: of a codec's program or library; empty where it is not known.
      remark: why a codec has no figure for some files; else empty.
      cost: of the samples that the model sees; of a codec, in whole files.
      interval: of its bits per sample, over files; None where they are too few.
      against_model: None for what is no codec, and for a codec that could take no file.
      chunked: the same samples, every chunk a stream of its own; None where that was not measured.
      native: of the files' own samples; None where that was not measured.
      with_model: bits per sample, those of the model file included; None for a codec. The
        "adjusted" rate of Delétang et al., Language Modeling Is Compression, 2024, table 1.
    """

    kind: str
    name: str
    version: str = ""
    remark: str = ""
    cost: Cost
    interval: Interval | None = None
    against_model: Comparison | None = None
    chunked: Cost | None = None
    native: Cost | None = None
    with_model: Number = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinsSummary:
    """Ranges of some quantity: K + 1 edges (None for -inf), and K of the others."""

    edges: Numbers
    samples: list[int]
    bits: Numbers
    bits_per_sample: Numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """An evaluation, as it is shown.

    Attributes:
      names: of the files, N.
      samples: in each of them, as the model sees it.
      depth: bits of a sample, uncompressed.
      confidence: of all intervals, such as 0.95.
      draws: of files, that the intervals come from.
      coders: what is compared, best first: in the order of their difference from the model, which
        is that of their bits per sample where each took every file.
      cost_parts: of the model, by name; empty where there is but one.
      model_bytes: size of the model file; 0 where there is none.
      wall_time_s: how long the model took, in seconds.
      by_position: over the position in the chunk, in samples.
      by_loudness: over the loudness of a chunk, in dB of full scale.
      skipped: "path" and "reason" of the files that are not part of the figures.
      settings: as in `Evaluation`.
    """

    names: list[str]
    samples: list[int]
    depth: int
    confidence: float
    draws: int
    coders: list[Coder]
    cost_parts: dict[str, Cost]
    model_bytes: int
    wall_time_s: float
    by_position: BinsSummary
    by_loudness: BinsSummary
    skipped: list[dict[str, str]]
    settings: dict[str, Any]

    @property
    def files(self) -> int:
        """N."""
        return len(self.names)

    @property
    def model(self) -> Coder:
        """The model among the coders."""
        return next(coder for coder in self.coders if coder.kind == "model")

    @property
    def codecs(self) -> list[Coder]:
        """The codecs among the coders, best first."""
        return [coder for coder in self.coders if coder.kind == "codec"]

    @property
    def reference(self) -> Coder | None:
        """The codec that the model is held against; None where no codec took a file.

        FLAC -8 is what people know; failing that another FLAC, and then the best codec.
        """
        return min(
            (codec for codec in self.codecs if codec.cost.files),
            key=lambda codec: (codec.name != "FLAC -8", not codec.name.startswith("FLAC")),
            default=None,
        )
