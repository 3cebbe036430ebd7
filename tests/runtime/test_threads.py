"""Work in threads: its order, and its errors."""

import functools
import threading

import pytest

from runtime.threads import run_in_turns, threads_each


@pytest.mark.parametrize("num_threads", [1, 3])
def test_turns_follow_each_other(num_threads):
    done, seen, together = [], [], threading.Barrier(num_threads)

    def call(turn):
        together.wait(10)  # The calls of a turn are side by side.
        done.append(turn)

    turns = [[functools.partial(call, turn)] * num_threads for turn in range(4)]
    for turn, _ in enumerate(run_in_turns(turns, num_threads)):
        seen.append(turn)
        assert sorted(done) == sorted(num_threads * seen)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("num_threads", [1, 2])
def test_an_error_ends_it(num_threads):
    def fail():
        raise OSError("no")

    done = []
    with pytest.raises(OSError, match="no"):
        for _ in run_in_turns([[lambda: None], [fail], [lambda: done.append(1)]], num_threads):
            pass
    assert not done


def test_threads_are_shared():
    assert [threads_each(8, tasks) for tasks in (0, 1, 3, 8, 20)] == [8, 8, 2, 1, 1]
