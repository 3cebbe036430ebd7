"""What cannot be reached for a while is told once, and tried until it can."""

import pytest

from runtime.outage import Outage


class _Unreliable:
    """Fails so many times."""

    def __init__(self, failures, error=None):
        self._failures, self._error = failures, error or OSError("503")

    def __call__(self):
        if self._failures:
            self._failures -= 1
            raise self._error
        return "done"


def test_it_is_tried_again_with_growing_delays_and_told_once(caplog):
    delays = []
    times = iter([0.0, 90.0])
    outage = Outage("gs://bucket/run", clock=lambda: next(times))
    assert outage.retry(_Unreliable(8), sleep=delays.append) == "done"
    assert delays == [1, 2, 4, 8, 16, 30, 30, 30]
    assert caplog.messages == [
        "gs://bucket/run cannot be accessed (503): trying again until it can; this ends no run",
        "gs://bucket/run can be accessed again, after 1.5 minutes",
    ]


@pytest.mark.parametrize("error", [FileNotFoundError("no bucket"), PermissionError("read-only")])
def test_what_does_not_end_by_itself_is_raised(caplog, error):
    with pytest.raises(type(error)):
        Outage("gs://bucket/run").retry(_Unreliable(1, error))
    assert not caplog.messages


def test_an_action_that_succeeds_tells_nothing(caplog):
    assert Outage("gs://bucket/run").retry(_Unreliable(0)) == "done"
    assert not caplog.messages
