"""Checkpoints are whole or not there, and never restored unseen."""

import os
import random
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

from runtime.outage import Outage
from tests.full_disk import fill_disk
from tests.strange_names import STRANGE_NAMES
from training.checkpoints.checkpoint_file import Checkpoint, DamagedError, read_checkpoint
from training.checkpoints.store import CheckpointStore

pytestmark = pytest.mark.both_stacks

ARRAYS = {
    "params/a/kernel": np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32),
    "params/b": np.asarray(jnp.ones(7, jnp.bfloat16)),
    "opt_state/1/0/count": np.array(2, np.int32),
    "step": np.array(3, np.int32),
}


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "checkpoints")


def _save(folder, *steps, keep=3, bits=()):
    checkpoints = CheckpointStore(folder, keep=keep)
    for number, step in enumerate(steps):
        checkpoint = Checkpoint(step, ARRAYS, {"wall_time_s": 0.1 * step})
        checkpoints.save(checkpoint, bits_per_sample=bits[number] if bits else None)
    checkpoints.close()


def _restore(folder):
    checkpoints = CheckpointStore(folder, keep=3)
    restored = checkpoints.restore()
    checkpoints.close()
    return restored


def _assert_whole(restored, step):
    assert (restored.step, restored.metadata) == (step, {"wall_time_s": 0.1 * step})
    assert restored.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert restored.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(restored.arrays[name], array)


def test_what_was_saved_is_restored(folder):
    assert _restore(folder) is None
    _save(folder, 10, 20)
    _assert_whole(_restore(folder), 20)


def test_the_last_and_the_best_are_kept(folder):
    _save(folder, 1, 2, 3, 4, 5, 6, keep=2, bits=[5.0, 2.0, 3.0, None, 4.0, None])
    assert sorted(CheckpointStore(folder, keep=2).steps()) == [2, 5, 6]


def test_a_save_that_did_not_end_is_no_checkpoint(folder):
    _save(folder, 1)
    left = f"{folder}/.0123abcd.99.tmp"  # By a process that was killed.
    with open(left, "wb") as file:
        file.write(b"PK")
    _assert_whole(_restore(folder), 1)
    _save(folder, 2)
    assert sorted(os.listdir(folder)) == ["1.npz", "2.npz"]


def test_no_single_bit_flip_is_restored_in_silence(folder, caplog):
    _save(folder, 1, 2)
    path = f"{folder}/2.npz"
    for number, bit in enumerate(random.Random(0).sample(range(8 * os.path.getsize(path)), 200)):
        with open(path, "rb") as file:
            whole = file.read()
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        with open(path, "wb") as file:
            file.write(broken)
        with pytest.raises(DamagedError, match=r"2\.npz: wrong checksum"):
            read_checkpoint(path)
        if number == 0:  # And the run gets the one before it.
            caplog.clear()
            _assert_whole(_restore(folder), 1)
            assert f"damaged checkpoint, using the one before it: {path}" in caplog.text
            os.rename(f"{path}.damaged", path)
        with open(path, "wb") as file:
            file.write(whole)
    _assert_whole(_restore(folder), 2)


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_checkpoint_that_is_cut_off_is_damaged(folder, size):
    _save(folder, 1)
    os.truncate(f"{folder}/1.npz", size)
    assert _restore(folder) is None
    assert os.listdir(folder) == ["1.npz.damaged"]


def test_numpy_reads_it(folder):
    _save(folder, 1)
    with np.load(f"{folder}/1.npz") as archive:
        np.testing.assert_array_equal(archive["params/a/kernel"], ARRAYS["params/a/kernel"])


@pytest.mark.parametrize("name", STRANGE_NAMES)
def test_any_folder_will_do(tmp_path, name):
    folder = str(tmp_path / name)
    _save(folder, 1)
    _assert_whole(_restore(folder), 1)


def test_a_save_that_fails_is_reported_and_leaves_the_earlier_one(folder, monkeypatch):
    _save(folder, 1)
    fill_disk(monkeypatch)
    checkpoints = CheckpointStore(folder, keep=3)
    checkpoints.save(Checkpoint(2, ARRAYS, {}))
    with pytest.raises(OSError, match=r"no checkpoint saved in .*: \[Errno 28\] No space left"):
        checkpoints.wait()
    checkpoints.check()  # Once is enough.
    checkpoints.close()
    assert os.listdir(folder) == ["1.npz"]
    _assert_whole(_restore(folder), 1)


def test_names_that_are_no_steps_are_left_alone(folder):
    _save(folder, 1)
    os.mkdir(f"{folder}/notes")
    _assert_whole(_restore(folder), 1)
    assert os.path.isdir(f"{folder}/notes")


def test_in_an_outage_a_later_save_takes_the_place_of_an_earlier_one(folder):
    outage = Outage(folder)
    with open(folder, "w") as file:
        file.write("no folder can be made here")
    store = CheckpointStore(folder, keep=3, outage=outage)
    store.save(Checkpoint(1, ARRAYS, {}))
    _wait_until(lambda: outage.is_on)
    store.save(Checkpoint(2, ARRAYS, {}))  # Neither waits nor fails: training goes on.
    store.save(Checkpoint(3, ARRAYS, {"wall_time_s": 0.1 * 3}))
    store.check()
    os.unlink(folder)
    store.wait()
    assert store.steps() == [3] and not outage.is_on
    _assert_whole(store.restore(), 3)


def test_a_bucket_that_does_not_answer_delays_training_once(folder, caplog):
    answered = threading.Event()
    store = CheckpointStore(
        folder, keep=3, outage=Outage(folder), before_save=answered.wait, patience_s=0.5
    )
    begin = time.monotonic()
    for step in (1, 2, 3, 4, 5):
        store.save(Checkpoint(step, ARRAYS, {}))
    assert 0.5 < time.monotonic() - begin < 1.0
    answered.set()
    store.wait()
    assert sorted(store.steps()) == [1, 5]
    assert caplog.messages == [
        f"{folder}: no checkpoint could be saved for 0.5 s; training goes on, and a later one will "
        "take its place"
    ]


def test_what_must_be_there_before_is_written_before(folder):
    outage, seen = Outage(folder), []

    def upload():
        seen.append(os.path.exists(f"{folder}/1.npz"))
        if len(seen) == 1:
            raise OSError("503")

    store = CheckpointStore(folder, keep=3, outage=outage, before_save=upload)
    store.save(Checkpoint(1, ARRAYS, {}))
    store.wait()
    assert seen == [False, False] and store.steps() == [1]


def test_at_the_end_denied_access_is_no_reason_to_wait(folder):
    def deny():
        raise PermissionError("read-only")

    store = CheckpointStore(folder, keep=3, outage=Outage(folder), before_save=deny)
    store.save(Checkpoint(1, ARRAYS, {}))
    with pytest.raises(OSError, match="read-only"):
        store.wait()


def _wait_until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
