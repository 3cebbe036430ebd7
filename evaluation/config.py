"""The config of an evaluation."""

import dataclasses

from runtime.errors import ConfigError, require_at_least

SPLITS = ("valid", "train", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """One evaluation.

    Attributes:
      model: path of a model file.
      audio_dirs: folders of WAV files; empty: those that the model was trained on.
      catalogue: path of their catalogue, see `open_catalogue`; None: their headers are read.
      split: side of the training split, one of SPLITS; None: `valid` for the model's own folders,
        `all` for others.
      eval_files: limit on the files, drawn by a hash of their names; 0: all of them.
      batch_size: chunks in a batch, over all devices; the results do not depend on it.
      segment: frames of a file that are coded alone, by a model that codes files and not chunks;
        None: `models.interface.DEFAULT_SEGMENT`.
      codecs: keys of the codecs to compare with; None: all that are installed.
      chunked: the codecs also encode every chunk as a separate stream.
      compressed_size: also compress the files, with a model that codes files and not chunks.
      strict: a file that cannot be used ends the evaluation.
      max_skipped_fraction: largest fraction of unusable files, of those found or evaluated, that
        does not end the evaluation.
      report_dir: folder for the report; None: no report.

    Raises:
      ConfigError: a field is out of bounds.
    """

    model: str
    audio_dirs: tuple[str, ...] = ()
    catalogue: str | None = None
    split: str | None = None
    eval_files: int = 0
    batch_size: int = 128
    segment: int | None = None
    codecs: tuple[str, ...] | None = None
    chunked: bool = False
    compressed_size: bool = True
    strict: bool = False
    max_skipped_fraction: float = 0.5
    report_dir: str | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise ConfigError(f"split must be one of {SPLITS}, got {self.split!r}")
        require_at_least(self, 0, "eval_files")
        require_at_least(self, 1, "batch_size")
        if self.segment is not None:
            require_at_least(self, 1, "segment")
