"""Every number of a report, as plain fields.

Tables, verdict, plots and page show the fields of a `Summary` and compute nothing, so that
`report.json`, which holds these fields, is complete. None stands for an unknown number: JSON has no
NaN. N files, K bins.
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
    """The bits of a coder for the files that it could encode.

    Attributes:
      files: number of files that it could encode.
      samples: in these files.
      bits_per_sample: without the container, if `container_is_known`.
      ratio: compressed over raw bits.
      mean_over_files: mean of the files' own bits per sample.
      with_container: bits per sample of the encoded files, container included.
      container_is_known: whether headers and the like can be separated from the rest.
      per_file: [N], bits per sample of each of `Summary.names`.
      bits_per_file: [N], without the container, if it is known.
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
    """The model minus a codec, in bits per sample, on the files that the codec could encode.

    Attributes:
      model_bits_per_sample: of the model, on these files.
      difference: negative if the model needs fewer bits.
      relative: ratio of the model's bits to the codec's, minus 1; None if the codec needs none.
      interval: of the difference, over files; None for fewer than two.
      per_file: [N], the difference of each file.
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
      kind: "model", "codec" or "order0", the order-0 entropy.
      name: as shown.
      version: of a codec's program or library; empty if unknown.
      remark: why a codec, or `compress`, could not encode some files; else empty.
      cost: on the samples that `Summary.native` says; of a codec, as whole files.
      interval: of `cost`'s bits per sample, over files; None for fewer than two.
      against_model: `cost` beside the model's; None if not a codec, or one that could encode no
        file.
      as_read: on the samples that the model reads; None if `cost` is that.
      chunked: the samples that the model reads, every chunk a separate stream; None if not
        measured.
      native: on the files' own samples, of the model what `compress` makes of them, over the files
        that every coder can encode; None if the model can code none of them, and if `cost` is that.
      with_model: bits per sample including those of the model file; None for a codec. The
        "adjusted" compression rate of Delétang et al., Language Modeling Is Compression, 2024,
        table 1.
    """

    kind: str
    name: str
    version: str = ""
    remark: str = ""
    cost: Cost
    interval: Interval | None = None
    against_model: Comparison | None = None
    as_read: Cost | None = None
    chunked: Cost | None = None
    native: Cost | None = None
    with_model: Number = None

    @property
    def read_cost(self) -> Cost:
        """The cost of the samples that the model reads."""
        return self.as_read or self.cost


@dataclasses.dataclass(frozen=True, kw_only=True)
class BinsSummary:
    """Ranges of some quantity: K + 1 edges (None for -inf), and K values of each other field."""

    edges: Numbers
    samples: list[int]
    bits: Numbers
    bits_per_sample: Numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """All numbers of a report.

    Attributes:
      names: [N], paths of the files, as in `Evaluation`.
      native: whether the coders' `cost` is on the files' own channels and bits: so if `compress`
        can code every file with the model. Else on the samples that the model reads: after the
        downmix, all in its bits.
      samples: [N], samples of each file that `cost` is on.
      depth: bits per uncompressed sample that the model reads.
      raw_depth: bits per uncompressed sample that `cost` is on; None if files differ.
      confidence: of all intervals, such as 0.95.
      draws: bootstrap draws behind each interval.
      coders: all that are compared, best first: by the difference from the model, which is the
        order of their bits per sample if each could encode every file.
      cost_parts: parts of the model's cost by name; empty if there is only one.
      model_bytes: size of the model file; 0 if there is none.
      wall_time_s: time that the model took, in seconds.
      by_position: over the position in the chunk, or segment, in samples.
      by_loudness: over the loudness of a chunk, in dB of full scale.
      skipped: "path" and "reason" of each skipped file.
      noted: "path" and "problem" of each file that is used although something is wrong with it.
      settings: as in `Evaluation`.
    """

    names: list[str]
    native: bool
    samples: list[int]
    depth: int
    raw_depth: int | None
    confidence: float
    draws: int
    coders: list[Coder]
    cost_parts: dict[str, Cost]
    model_bytes: int
    wall_time_s: float
    by_position: BinsSummary
    by_loudness: BinsSummary
    skipped: list[dict[str, str]]
    noted: list[dict[str, str]]
    settings: dict[str, Any]

    @property
    def files(self) -> int:
        """N."""
        return len(self.names)

    @property
    def unit(self) -> str:
        """What the model codes alone: "segment" or "chunk"."""
        return "segment" if self.settings.get("segment") else "chunk"

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
        """The codec that the model is compared with; None if no codec could encode a file.

        FLAC -8, which is best known; else another level of FLAC, else the best codec.
        """
        return min(
            (codec for codec in self.codecs if codec.cost.files),
            key=lambda codec: (codec.name != "FLAC -8", not codec.name.startswith("FLAC")),
            default=None,
        )
