"""Hosts that meet, or learn why they cannot; threads of this process."""

import socket
import subprocess
import threading
import time
from concurrent import futures

import pytest

from runtime.errors import TrainingError
from runtime.peer import Peer
from runtime.rendezvous import meet
from tests.command_line import ROOT
from tests.ports import free_port
from tests.two_machines import ADDRESSES, two_machines

NAME = socket.gethostname()


@pytest.fixture
def address():
    return f"localhost:{free_port()}"


_met: list[Peer] = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while _met:
        _met.pop().close()


def _meet(address, *hosts, warn_s=9.0, timeout_s=20.0, **options):
    """Has hosts meet, each given as its number of hosts and its process id.

    Returns:
      Of each its peers, or its error.
    """

    def attempt(host):
        try:
            peers = meet(address, *host, warn_s=warn_s, timeout_s=timeout_s, **options)
        except TrainingError as error:
            return str(error)
        _met.extend(peers.values())
        return peers

    with futures.ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(attempt, hosts))


def test_hosts_meet_in_any_order_and_leave_the_port(address):
    two, primary, one = _meet(address, (3, 2), (3, 0), (3, 1))
    assert (two.keys(), sorted(primary), one.keys()) == ({0}, [1, 2], {0})
    assert {peer.name for peer in (two[0], one[0], *primary.values())} == {NAME}
    with socket.create_server(("", int(address.rpartition(":")[2]))):  # While they are connected.
        pass
    for number, other in ((1, one), (2, two)):
        primary[number].send(f"you are {number}")
        other[0].send(f"I am {number}")
        assert other[0].lines.readline() == f"you are {number}\n"
        assert primary[number].lines.readline() == f"I am {number}\n"


def test_one_host_meets_itself(address):
    assert _meet(address, (1, 0)) == [{}]


def test_strangers_at_the_port_are_let_alone(address):
    host, _, port = address.rpartition(":")
    with futures.ThreadPoolExecutor(2) as pool:
        primary = pool.submit(_meet, address, (2, 0))
        strangers = []
        for content in (b"\xff\xfe\n", b"GET / HTTP/1.1\r\n\r\n", b"wavestream x y z\n", b""):
            strangers.append(_connected(host, port))
            strangers[-1].sendall(content)
        (other,) = _meet(address, (2, 1))
    for stranger in strangers:
        stranger.close()
    assert other.keys() == {0} and primary.result()[0].keys() == {1}


@pytest.mark.parametrize("wait_s", [0, 0.5])
def test_a_host_that_is_started_again_while_the_others_wait(address, wait_s):
    host, _, port = address.rpartition(":")
    with futures.ThreadPoolExecutor(1) as pool:
        primary = pool.submit(_meet, address, (3, 0))
        with _connected(host, port) as interrupted:
            interrupted.sendall(b"wavestream 3 1 early\n")
        with futures.ThreadPoolExecutor(
            1
        ) as later:  # Which would complete them with the early one.
            other = later.submit(_meet, address, (3, 2))
            time.sleep(wait_s)
            assert [found.keys() for found in (*_meet(address, (3, 1)), *other.result())] == [
                {0}
            ] * 2
    assert sorted(primary.result()[0]) == [1, 2]


def _connected(host, port):
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            time.sleep(0.05)


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        (
            ((3, 0), (3, 1), (3, 1)),
            f"two hosts have --process_id=1, {NAME} and {NAME}; expected the",
        ),
        (((2, 0), (3, 1)), f"--num_processes=3 on host 1 ({NAME}), 2 on host 0 ({NAME})"),
    ],
)
def test_hosts_that_do_not_agree_all_learn_why(address, hosts, reason):
    for error in _meet(address, *hosts):
        assert error.startswith(f"--coordinator_address={address}: {reason}")


def test_what_has_numbered_the_hosts_is_named(address):
    for error in _meet(address, (3, 0), (3, 1), (3, 1), id_name="TPU_WORKER_ID"):
        assert "two hosts have TPU_WORKER_ID=1, " in error
        assert "TPU_WORKER_ID=0, 1, ... each once" in error


def test_a_second_primary_on_this_machine(address):
    errors = _meet(address, (2, 0), (2, 0), timeout_s=3)
    assert any("host 0 cannot listen there" in error for error in errors)


_HOST = """
import sys
from runtime.errors import TrainingError
from runtime.rendezvous import meet
try:
    ((number, peer),) = meet(sys.argv[1], 2, int(sys.argv[2]), warn_s=60, timeout_s=60).items()
    peer.send("hello")
    print(number, peer.lines.readline())
except TrainingError as error:
    print(error)
"""


@pytest.mark.parametrize("numbers", ["01", "00"])
def test_two_machines(numbers):
    with two_machines() as machines:
        processes = [
            subprocess.Popen(
                [*machine, "-c", _HOST, f"{ADDRESSES[0]}:1234", number],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
            for machine, number in zip(machines, numbers, strict=True)
        ]
        said = [process.communicate(timeout=30)[0] for process in processes]
    if numbers == "01":
        assert said == ["1 hello\n\n", "0 hello\n\n"]
    else:
        for text in said:
            assert "two hosts have --process_id=0, " in text


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
