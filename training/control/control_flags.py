"""What one host asks for, all hosts do after the same step.

A signal reaches one host, a clock is another's, a file cannot be read on a third; but if one leaves
the loop or looks into its parameters while the others step on, all of them hang. So what a host
wishes goes with its next step, over the same network as the gradients: the step returns the highest
wish of all, and every host reads that as many steps later as may be under way.
"""

import collections
from typing import Any, NamedTuple

import jax

from training.step import fetch_control_flags, put_control_flags


class ControlFlags(NamedTuple):
    """What to do after a step.

    Attributes:
      stop: 0 to go on; the number of a signal, or FAILED.
      save: 1 to save a checkpoint.
    """

    stop: int = 0
    save: int = 0


FAILED = 1
"""To stop, for another reason than a signal. (No number of a signal that is handled.)"""


class ControlFlagReducer:
    """Carries wishes from step to step."""

    def __init__(self, in_flight: int) -> None:
        """Begins with none.

        Args:
          in_flight: after how many steps what they say is at hand without a wait; 1: at once.
        """
        self._in_flight = in_flight
        self._said: collections.deque[Any] = collections.deque()
        self._none = self.asking = put_control_flags(ControlFlags())

    def exchange(self, said: Any, wishes: ControlFlags) -> ControlFlags:
        """Returns what all hosts do now.

        Args:
          said: what the step that got `asking` has returned for it.
          wishes: of this host, after that step. Where it is alone they are fulfilled at once.
        """
        if jax.process_count() == 1:
            return wishes
        self.asking = put_control_flags(wishes) if any(wishes) else self._none
        self._said.append(said)
        if len(self._said) < self._in_flight:
            return ControlFlags()
        return ControlFlags(*fetch_control_flags(self._said.popleft()))
