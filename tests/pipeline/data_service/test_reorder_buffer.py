"""Batches in order, whatever a service does. The service here is a list of what it delivers."""

import itertools
import logging

import hypothesis
import hypothesis.strategies as st
import pytest

from pipeline.data_service.reorder_buffer import ReorderBuffer
from pipeline.reading.python_calls import READ


class Service:
    """Delivers steps from a list, each of which it names; None is a moment without any."""

    def __init__(self, *lives):
        self.lives, self.connected_at, self.read_locally = list(lives), [], []
        self.max_held = 0

    def connect(self, step):
        self.connected_at.append(step)
        return Life(self.lives.pop(0) if self.lives else [])

    def here(self, first):
        for step in itertools.count(first):
            self.read_locally.append(step)
            yield {"here": step}

    def batches(self, count, first=0, max_held=1000, max_lag=10, connect_after=1e9, **options):
        """Takes that many batches, which must be in order."""
        stream = ReorderBuffer(
            self.connect,
            self.here,
            first,
            max_held=max_held,
            max_lag=max_lag,
            timeout_s=0.01,
            seconds_between_connections=connect_after,
            **options,
        )
        got = []
        for batch in itertools.islice(stream, count):
            got += batch.values()
            self.max_held = max(self.max_held, len(stream._held))
        assert got == list(range(first, first + count))


class Life:
    def __init__(self, steps):
        self.error, self._steps = None, iter(steps)

    def get(self, seconds):
        assert not (self.error and seconds), "waits for what has ended"
        step = next(self._steps, None)
        if isinstance(step, Exception):
            self.error, step = step, None
        return None if step is None else {"step": step, "there": step}

    def stop(self):
        pass


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, logger="wavestream")
    return caplog


@hypothesis.given(
    st.lists(st.one_of(st.none(), st.integers(0, 30)), max_size=80),
    st.integers(0, 9),
    st.integers(1, 9),
)
def test_any_delivery_becomes_the_sequence(steps, first, max_held):
    service = Service(steps)
    service.batches(25, first=first, max_held=max_held)
    assert service.max_held <= max_held


def test_nothing_is_read_locally_that_arrives(log):
    service = Service([2, 0, 1, 5, 5, 4, 3, 0, 7, 6])
    service.batches(8)
    assert service.read_locally == []
    assert log.messages == []


def test_what_is_lost_is_read_locally_after_one_timeout(log):
    service = Service([0, 1, 4, 5, 7, 8, None])  # 2, 3 and 6 are lost.
    service.batches(9)
    assert service.read_locally == [2, 3, 6]
    assert [message.split(": ", 1)[1] for message in log.messages] == [
        "reading batch 2 and those after it locally, until the service delivers them: batch "
        "missing, 4 later ones received; has a worker died?",
        "delivered batch 4 again, after 2 batches that were read locally",
        "reading batch 6 and those after it locally, until the service delivers them: batch "
        "missing, 2 later ones received; has a worker died?",
        "delivered batch 7 again, after 1 batches that were read locally",
    ]


def test_a_service_without_workers(log):
    service = Service([None] * 5 + [0, 3, 4, 5, 6, 7, 8])
    service.batches(9)
    assert service.read_locally[:4] == [0, 1, 2, 3]
    assert "no batch for 0 s; are its dispatcher and workers running?" in log.messages[0]
    assert len(service.read_locally) < 9
    assert len(log.messages) == 2


def test_a_service_that_fails_is_reconnected(log):
    service = Service([0, 1, ConnectionError("went\naway")], [4, 5, 6, 7])
    service.batches(8, connect_after=0)
    assert service.connected_at == [0, 2]
    assert service.read_locally == [2, 3]
    assert "the connection failed: went away" in log.messages[0]


def test_a_service_that_fails_is_not_reconnected_at_once():
    service = Service([2, 3, ConnectionError()], [0, 1, 2])
    service.batches(8)
    assert service.read_locally == [0, 1, 4, 5, 6, 7]
    assert service.connected_at == [0]


def test_a_service_that_is_far_behind_is_reconnected():
    service = Service([None] * 30 + [0, 1, 2, None], range(33, 40))
    service.batches(40, max_lag=20, connect_after=0)
    assert service.connected_at == [0, 30]
    assert service.read_locally[-1] < 34


def test_a_service_a_little_behind_catches_up():
    service = Service([None] * 10 + list(range(40)))
    service.batches(40, max_lag=20, connect_after=0)
    assert service.connected_at == [0]


def test_another_version_is_named(log):
    error = ValueError(f"ValueError: Could not find callback with key={READ} in")
    Service([error]).batches(1)
    assert "a worker runs another version of wavestream" in log.messages[0]


def test_only_batches_of_the_service_are_reported():
    received = []
    Service([1, 3, None]).batches(4, on_received=lambda step, batch: received.append((step, batch)))
    assert received == [(1, {"there": 1}), (3, {"there": 3})]
