"""What comes out of training."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came out of a run.

    Attributes:
      params: the model's parameters, NumPy arrays.
      steps: how many were done.
      train: the metrics of the last steps.
      valid: those of the last validation; empty where there is no held-out split.
      signal: the number of the signal that ended it before its last step, or None.
      failure: why it must end, if not for a signal.
      wall_time_s: time from its first batch to its end, over all its processes, in seconds.
    """

    params: Any
    steps: int
    train: Mapping[str, float]
    valid: Mapping[str, float]
    signal: int | None
    failure: str | None
    wall_time_s: float

    @property
    def interrupted(self) -> bool:
        """Whether something other than its last step has ended it."""
        return self.signal is not None or self.failure is not None
