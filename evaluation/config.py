"""What to evaluate, on what, and beside what."""

import dataclasses

SPLITS = ("valid", "train", "all")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """One evaluation.

    Attributes:
      model: path of a model file.
      audio_dirs: folders of WAV files; empty: those that the model was trained on.
      catalogue: a file with the headers of these, see `open_catalogue`; None: they are read.
      split: which of the files, one of SPLITS, as they were split for training; None: `valid` of
        the model's own folders, `all` of others.
      eval_files: at most this many files, drawn by a hash of their names; 0: all of them.
      batch_size: chunks at a time, over all devices; the figures do not depend on it.
      codecs: short names of the codecs to compare with; None: all there are.
      chunked: have the codecs also code every chunk as a stream of its own.
      strict: a file that cannot be used ends the evaluation.
      max_skipped_fraction: so does more than this share, of the files found or of those evaluated.
      report_dir: where the report goes; None: nowhere.
    """

    model: str
    audio_dirs: tuple[str, ...] = ()
    catalogue: str | None = None
    split: str | None = None
    eval_files: int = 0
    batch_size: int = 128
    codecs: tuple[str, ...] | None = None
    chunked: bool = False
    strict: bool = False
    max_skipped_fraction: float = 0.5
    report_dir: str | None = None

    def __post_init__(self) -> None:
        if self.split not in (None, *SPLITS):
            raise ValueError(f"split must be one of {SPLITS}, got {self.split!r}")
        if self.eval_files < 0:
            raise ValueError(f"eval_files must be at least 0, got {self.eval_files}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
