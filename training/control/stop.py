"""Why a run ends before its last step: a signal or a failure, here or on another host."""

from collections.abc import Callable

import jax

from runtime.devices import steps_in_flight
from runtime.logging import logger
from training.control.control_flags import FAILED, ControlFlagReducer, ControlFlags
from training.control.signals import SignalHandler


class StopControl:
    """Has all hosts stop, or save, after the same step.

    Attributes:
      stop: 0 to continue; else what all hosts stop for, see `ControlFlags.stop`.
      reducer: of the flags of the train steps.
    """

    def __init__(self, signals: SignalHandler, failure: Callable[[], str | None]) -> None:
        """Continues until something happens.

        Args:
          signals: those that this host has received.
          failure: returns why the run must end on this host, or None.
        """
        self._signals, self._failure = signals, failure
        self.restart()

    def restart(self) -> None:
        """Begins anew, with no step in flight."""
        self.stop = 0
        self.reducer = ControlFlagReducer(steps_in_flight())

    def own_flags(self, *, save: bool = False) -> ControlFlags:
        """Returns the flags of this host, as they are now."""
        stop = self._signals.signal or (FAILED if self._failure() else 0)
        return ControlFlags(stop=stop, save=int(save))

    def after_step(self, reduced: jax.Array, *, save: bool) -> bool:
        """Sets `stop` by the flags of all hosts; returns whether one of them wants to save.

        Args:
          reduced: flags that the step has returned.
          save: whether this host wants to.
        """
        flags = self.reducer.all_reduce(reduced, self.own_flags(save=save))
        self.stop = flags.stop
        if self.stop and not self.own_flags().stop:
            logger.warning("stopping with another host: see its log")
        return bool(flags.save)

    def reason(self, *, is_last: bool) -> tuple[int | None, str | None]:
        """Returns the signal that has ended the run, or None, and the failure, or None.

        Args:
          is_last: whether the run has ended after its last step, whatever came then.
        """
        failure = self._failure()  # Maybe since the last flags.
        if is_last:
            return None, failure
        if self.stop == FAILED:
            return None, failure or "another host has failed: see its log"
        return self.stop, failure
