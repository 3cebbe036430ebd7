"""The connections between hosts, here between threads: what is heard, and what ends a process."""

import queue
import socket
import threading

import pytest

from runtime import failure_detector
from runtime.failure_detector import EXIT_STATUS, FailureDetector, Timeouts
from runtime.peer import Peer


class _Hosts:
    """Some hosts and their failure detectors."""

    def __init__(self, caplog):
        self._caplog = caplog
        self.ends = queue.Queue()

    def _end_process(self, status):
        self.ends.put((status, self._caplog.messages[-1]))
        failure_detector.write_lock.release()  # Here all processes share it.
        threading.Event().wait()  # As if the process had ended.

    def connect(self, num_processes, **timeouts):
        """Returns the failure detectors by the number of their host."""
        peers = {number: {} for number in range(num_processes)}
        for number in range(1, num_processes):
            for here, there, end in zip((0, number), (number, 0), socket.socketpair(), strict=True):
                peers[here][there] = Peer.of(end)._replace(name=f"n{there}")
        return {
            number: FailureDetector(
                number,
                connected,
                timeouts=Timeouts(grace=0.1, **timeouts),
                end_process=self._end_process,
            )
            for number, connected in peers.items()
        }

    def wait(self, count):
        """Returns the ends of all: none is left to end a process after the test."""
        return [self.ends.get(timeout=10) for _ in range(count)]


@pytest.fixture
def hosts(caplog):
    return _Hosts(caplog)


def test_an_error_reaches_all_the_others(hosts):
    hosts.connect(3)[2].broadcast_error("the disk\nis full")
    for status, said in hosts.wait(3):
        assert status == EXIT_STATUS
        assert said.startswith(
            f"host 2 ({socket.gethostname()}): the disk is full. A run needs all of its hosts"
        )


def test_an_end_after_the_work_is_no_failure(hosts):
    detectors = hosts.connect(2)
    for detector in detectors.values():
        detector.close()
    for detector in detectors.values():
        for peer in detector._peers.values():
            peer.connection.shutdown(socket.SHUT_RDWR)
    with pytest.raises(queue.Empty):
        hosts.ends.get(timeout=0.5)


def test_a_connection_that_breaks(hosts):
    detectors = hosts.connect(2)
    detectors[1]._peers[0].connection.shutdown(socket.SHUT_RDWR)
    assert {said.partition(", or")[0] for _, said in hosts.wait(2)} == {
        f"host {number} (n{number}): its process has ended" for number in (0, 1)
    }


def test_a_host_that_falls_silent(hosts):
    hosts.connect(2, silence=0.5)
    for _, said in hosts.wait(2):
        assert "): no heartbeat for 0.5 seconds. A run needs all" in said


def test_what_is_being_written_is_finished_first(hosts):
    detectors = hosts.connect(2)
    with failure_detector.write_lock:
        detectors[1].broadcast_error("over")
        with pytest.raises(queue.Empty):
            hosts.ends.get(timeout=0.5)
    assert [status for status, _ in hosts.wait(2)] == [EXIT_STATUS, EXIT_STATUS]
