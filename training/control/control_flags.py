"""What one host must do, all hosts do after the same step.

A signal reaches one host, a clock is another's, a file cannot be read on a third; but if one leaves
the loop or fetches its parameters while the others step on, all of them hang. So each host's flags
go with its next step, over the same network as the gradients: the step returns the maximum over all
hosts, and every host reads that as many steps later as may be under way.
"""

import collections
from typing import NamedTuple

import jax
import numpy as np

from runtime.parallel import tile, unreplicate


class ControlFlags(NamedTuple):
    """What to do after a step.

    Attributes:
      stop: 0 to go on; the number of a signal, or FAILED.
      save: 1 to save a checkpoint.
    """

    stop: int = 0
    save: int = 0

    def to_devices(self) -> np.ndarray:  # int32 [D, 2]
        """Returns the flags as a step takes them."""
        return tile(np.array(self, np.int32))


FAILED = 1
"""To stop for another reason than a signal. (The number of no signal that is handled.)"""


class ControlFlagReducer:
    """All-reduces the flags of all hosts, along with the steps.

    Attributes:
      outgoing: int32 [D, 2], what the next step takes of this host.
    """

    def __init__(self, max_in_flight: int) -> None:
        """Begins with no flag raised.

        Args:
          max_in_flight: after how many steps their results can be read without a wait; 1: at once.
        """
        self._max_in_flight = max_in_flight
        self._reduced: collections.deque[jax.Array] = collections.deque()
        self._none = self.outgoing = ControlFlags().to_devices()

    def all_reduce(self, reduced: jax.Array, own: ControlFlags) -> ControlFlags:
        """Returns what all hosts do now.

        Args:
          reduced: what the step that took `outgoing` has returned for it.
          own: the flags of this host after that step. Where it is alone they hold at once.
        """
        if jax.process_count() == 1:
            return own
        self.outgoing = own.to_devices() if any(own) else self._none
        self._reduced.append(reduced)
        if len(self._reduced) < self._max_in_flight:
            return ControlFlags()
        return ControlFlags(*unreplicate(self._reduced.popleft()).tolist())
