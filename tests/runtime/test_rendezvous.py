"""Hosts that meet, or learn why they cannot; threads of this process."""

import socket
import threading
from concurrent import futures

import pytest

from runtime.errors import TrainingError
from runtime.rendezvous import meet


@pytest.fixture
def address():
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]
    return f"localhost:{port}"


def _meet(address, *hosts, warn_s=9.0, timeout_s=20.0):
    """Has hosts meet, each given as its number of hosts and its process id; returns the errors."""

    def attempt(host):
        try:
            meet(address, *host, warn_s=warn_s, timeout_s=timeout_s)
        except TrainingError as error:
            return str(error)
        return None

    with futures.ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(attempt, hosts))


def test_hosts_meet_in_any_order_and_leave_the_port(address):
    assert _meet(address, (3, 2), (3, 0), (3, 1)) == [None] * 3
    with socket.create_server(("", int(address.rpartition(":")[2]))):
        pass


def test_one_host_meets_itself(address):
    assert _meet(address, (1, 0)) == [None]


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        (((3, 0), (3, 1), (3, 1)), "two hosts have --process_id=1; expected the same command"),
        (((2, 0), (3, 1)), "--num_processes=3 on host 1, 2 on 0"),
    ],
)
def test_hosts_that_do_not_agree_all_learn_why(address, hosts, reason):
    for error in _meet(address, *hosts):
        assert error.startswith(f"--coordinator_address={address}: {reason}")


def test_a_second_primary_on_this_machine(address):
    errors = _meet(address, (2, 0), (2, 0), timeout_s=3)
    assert any("host 0 cannot listen there" in error for error in errors)


def test_who_is_missing_is_named(address, caplog):
    caplog.set_level("WARNING", logger="wavestream")
    errors = _meet(address, (4, 0), (4, 2), warn_s=0.5, timeout_s=4)
    assert [record.getMessage() for record in caplog.records] == [
        f"--coordinator_address={address}: --process_id=1, 3 has not come, still waiting"
    ]
    for error in errors:
        assert "--process_id=1, 3 has not come; expected the same command on all hosts" in error


def test_nobody_answers(address, caplog):
    caplog.set_level("WARNING", logger="wavestream")
    (error,) = _meet(address, (2, 1), warn_s=0.5, timeout_s=1)
    assert "host 0 has not answered in 1 s" in error
    assert "nothing answers there, still waiting for host 0" in caplog.text


def test_one_too_many_finds_jax_at_the_port():
    """Its server says something in HTTP/2, and closes."""
    with socket.create_server(("localhost", 0)) as server:

        def answer():
            with server.accept()[0] as connection:
                connection.sendall(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
                connection.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        (error,) = _meet(f"localhost:{server.getsockname()[1]}", (2, 1))
    assert "another host has --process_id=1" in error
