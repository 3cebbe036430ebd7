"""The connections between hosts, here between threads: what is heard, and what ends a process."""

import queue
import socket
import threading

import pytest

from runtime import failure_detector as lifeline
from runtime.failure_detector import STATUS, FailureDetector


@pytest.fixture
def ended(monkeypatch, caplog):
    """Returns how the processes end: the status and what was said before."""
    ends = queue.Queue()

    def end(status):
        ends.put((status, caplog.messages[-1]))
        lifeline.writing.release()  # Here all processes share it.
        threading.Event().wait()  # As if the process had ended.

    monkeypatch.setattr(lifeline.os, "_exit", end)
    monkeypatch.setattr(lifeline, "_GRACE_SECONDS", 0.1)
    return ends


def _tied(num_hosts, knock=lambda port: None):
    """Returns the ends of some hosts by their number."""
    told, lifelines = threading.Event(), {}
    found = []

    def tell(action):
        if not found:  # The first host.
            found.append(action())
            knock(found[0][0])
            told.set()
        told.wait(10)
        return found[0]

    def tie(index):
        if index:
            told.wait(10)
        lifelines[index] = FailureDetector.tie(index, num_hosts, "localhost", tell)

    threads = [threading.Thread(target=tie, args=(index,)) for index in range(num_hosts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(lifelines) == num_hosts
    return lifelines


def _all(ended, num_hosts):
    """Returns the ends of all hosts: none is left to end a process after the test."""
    return [ended.get(timeout=10) for _ in range(num_hosts)]


def test_a_reason_reaches_all_the_others(ended):
    _tied(3)[2].cut("the disk\nis full")
    for status, said in _all(ended, 3):
        assert status == STATUS
        assert said.startswith("host 2: the disk is full. A run needs all of its hosts")


def test_an_end_after_the_work_is_no_failure(ended):
    lifelines = _tied(2)
    for end in lifelines.values():
        end.untie()
    for end in lifelines.values():
        for peer in end._peers.values():
            peer.connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(queue.Empty):
        ended.get(timeout=0.5)


def test_a_connection_that_breaks(ended):
    lifelines = _tied(2)
    lifelines[1]._peers[0].connection.shutdown(socket.SHUT_RDWR)
    for _, said in _all(ended, 2):
        assert "its process has ended, or cannot be reached any more" in said


def test_a_host_that_falls_silent(ended, monkeypatch):
    monkeypatch.setattr(lifeline, "_SILENCE_SECONDS", 0.5)
    _tied(2)
    for _, said in _all(ended, 2):
        assert ": silent for 0.5 seconds. A run needs all" in said


def test_strangers_at_the_port_are_let_alone(ended, monkeypatch):
    monkeypatch.setattr(lifeline, "_PING_SECONDS", 0.3)
    strangers = []

    def knock(port):
        for content in (b"\xff\xfe\n", b"GET / HTTP/1.1\r\n\r\n", b""):
            strangers.append(socket.create_connection(("localhost", port)))
            strangers[-1].sendall(content)

    _tied(2, knock)[1].cut("heard")
    for _, said in _all(ended, 2):
        assert said.startswith("host 1: heard")


def test_what_is_being_written_is_finished_first(ended):
    lifelines = _tied(2)
    with lifeline.writing:
        lifelines[1].cut("over")
        with pytest.raises(queue.Empty):
            ended.get(timeout=0.5)
    assert [status for status, _ in _all(ended, 2)] == [STATUS, STATUS]
