"""Ctrl-C before the loop, whose exception Python may lose."""

import contextlib
import signal

import pytest

from training.control.signals import SignalHandler, interruptible


def test_an_interrupt_that_was_lost_is_raised_where_the_loop_begins() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        with contextlib.suppress(KeyboardInterrupt):  # As Python does within a `__del__`.
            signal.raise_signal(signal.SIGINT)
        with SignalHandler():
            pytest.fail("the run has begun")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_run_that_nobody_interrupts_begins() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)
    with interruptible(), SignalHandler() as signals:
        signal.raise_signal(signal.SIGINT)
        assert signals.signal == signal.SIGINT  # The loop ends in order.
