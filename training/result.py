"""The result of training."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """The result of a run.

    Attributes:
      params: parameters of the model, a tree of NumPy arrays.
      steps: number of steps done.
      train: the last logged training metrics.
      valid: metrics of the last validation; empty if there was none, or nothing to read.
      valid_step: the step of that validation, or -1; before `steps` if a signal has ended the run.
      initial_bits_per_sample: of the validation before the first step; None if there was none.
      signal: number of the signal that ended the run before its last step, or None.
      failure: the error that ended the run, or None.
      wall_time_s: seconds of training, summed over the processes that resumed the run.
    """

    params: Any
    steps: int
    train: Mapping[str, float]
    valid: Mapping[str, float]
    valid_step: int
    initial_bits_per_sample: float | None
    signal: int | None
    failure: str | None
    wall_time_s: float

    @property
    def interrupted(self) -> bool:
        """Whether a signal or an error has ended the run."""
        return self.signal is not None or self.failure is not None
