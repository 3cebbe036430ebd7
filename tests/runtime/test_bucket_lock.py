"""One process at a time writes the files of a run in a bucket. Here the bucket is a folder."""

import json
import os
import subprocess
import sys
import time

import pytest

from runtime.bucket_lock import BucketLock
from runtime.errors import ConfigError, TrainingError
from tests.command_line import ROOT

QUICK = {"renew_s": 0.05, "expire_s": 0.5, "settle_s": 0.05}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "audio_model.lock")


def _other(path, process=None, renewals=0):
    """Writes the lock of a process, by default one of another machine."""
    content = {
        "holder": "process 7 on host b",
        "process": process or ["another machine", 7],
        "token": "b",
        "renewals": renewals,
    }
    with open(path, "w") as file:
        json.dump(content, file)


def test_it_is_held_and_released(path):
    with BucketLock(path, **QUICK) as lock:
        lock.check()
        with open(path) as file:
            assert f"process {os.getpid()} on " in json.load(file)["holder"]
    assert not os.path.exists(path)


def test_a_second_run_is_refused_and_told_by_whom_it_is_held(path):
    with BucketLock(path, **QUICK) as lock:
        with pytest.raises(ConfigError, match=rf"is held by process {os.getpid()} on "):
            BucketLock(path, **QUICK)
        lock.check()


def test_a_dead_process_does_not_keep_it(path):
    _other(path)
    with BucketLock(path, **QUICK) as lock:
        lock.check()


def test_it_is_free_at_once_after_a_process_of_this_machine_that_has_ended(path):
    with BucketLock(path, **QUICK), open(path) as file:
        machine = json.load(file)["process"][0]
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    _other(path, process=[machine, child.pid])
    begin = time.monotonic()
    with BucketLock(path, renew_s=60, expire_s=60, settle_s=0):
        assert time.monotonic() - begin < 30


def test_it_is_free_at_once_where_it_was_not_renewed_for_long(path):
    _other(path)
    os.utime(path, (time.time() - 3600,) * 2)
    begin = time.monotonic()
    with BucketLock(path, renew_s=60, expire_s=60, settle_s=0):
        assert time.monotonic() - begin < 30


_HOLD = """
import sys, time
from runtime.bucket_lock import BucketLock
from runtime.errors import ConfigError
print(flush=True)
sys.stdin.readline()
try:
    with BucketLock(sys.argv[1], renew_s=0.1, expire_s=1, settle_s=0.5):
        time.sleep(3)
except ConfigError:
    sys.exit(2)
"""


def test_of_those_that_take_it_at_once_one_has_it(path):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _HOLD, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        child.stdout.readline()
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    statuses = [child.wait() for child in children]
    for child in children:
        child.communicate()
    assert sorted(statuses) == [0, 2, 2, 2]


def test_a_run_whose_lock_was_taken_ends(path):
    with BucketLock(path, **QUICK) as lock:
        _other(path)
        deadline = time.monotonic() + 20
        with pytest.raises(TrainingError, match="was taken by process 7 on host b"):
            while time.monotonic() < deadline:
                lock.check()
                time.sleep(0.01)
    assert os.path.exists(path)  # It is the other's.


def test_what_is_no_lock_is_replaced(path):
    with open(path, "w") as file:
        file.write("half a lo")
    with BucketLock(path, **QUICK) as lock:
        lock.check()
