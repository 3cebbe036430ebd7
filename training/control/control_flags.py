"""Control flags, reduced over all hosts, so that they stop or save after the same step.

A signal reaches one host, and a file cannot be read on another; but if one host leaves the loop
while the others run the next step, they all hang in its collectives. So the flags of each host are
inputs of its next step, which returns their maximum over all hosts. The hosts read that as many
steps later as may be in flight, so that no step waits for it.
"""

import collections
from typing import NamedTuple

import jax
import numpy as np

from runtime.parallel import tile, unreplicate


class ControlFlags(NamedTuple):
    """What to do after a step.

    Attributes:
      stop: 0 to continue; the number of a signal, or FAILED, to stop.
      save: 1 to save a checkpoint, else 0.
    """

    stop: int = 0
    save: int = 0

    def to_devices(self) -> np.ndarray:  # int32 [D, 2]
        """Returns the flags as input of a step."""
        return tile(np.array(self, np.int32))


FAILED = 255
"""To stop for another reason than a signal; no signal has this number."""


class ControlFlagReducer:
    """Reduces the flags of all hosts, together with the steps.

    Attributes:
      outgoing: int32 [D, 2], flags of this host for the next step.
    """

    def __init__(self, max_in_flight: int) -> None:
        """Starts with no flag set.

        Args:
          max_in_flight: number of steps in flight; flags are read from the oldest of them.
        """
        self._max_in_flight = max_in_flight
        self._reduced: collections.deque[jax.Array] = collections.deque()
        self._none = self.outgoing = ControlFlags().to_devices()

    def all_reduce(self, reduced: jax.Array, own: ControlFlags) -> ControlFlags:
        """Returns the flags that all hosts follow after this step.

        Args:
          reduced: flags returned by the step that was given `outgoing`.
          own: flags of this host after that step; if it is the only host, they apply at once.
        """
        if jax.process_count() == 1:
            return own
        # Mostly no flag is set, so that array is made once.
        self.outgoing = own.to_devices() if any(own) else self._none
        self._reduced.append(reduced)
        if len(self._reduced) < self._max_in_flight:
            return ControlFlags()
        return ControlFlags(*unreplicate(self._reduced.popleft()).tolist())
