"""Checkpoints are whole or not there, and never restored unseen."""

import hashlib
import json
import os
import random

import jax.numpy as jnp
import numpy as np
import pytest

from tests.full_disk import fill_disk
from training.checkpoints.store import (
    Checkpoint,
    CheckpointStore,
    DamagedError,
    read_checkpoint,
)

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
    _save(folder, 1, 2)
    os.unlink(f"{folder}/2/manifest.json")
    _assert_whole(_restore(folder), 1)
    _save(folder, 2)
    _assert_whole(_restore(folder), 2)


def test_no_single_bit_flip_is_restored_in_silence(folder, caplog):
    _save(folder, 1, 2)
    files = [os.path.join(top, name) for top, _, names in os.walk(f"{folder}/2") for name in names]
    bits = [(path, bit) for path in files for bit in range(8 * os.path.getsize(path))]
    for number, (path, bit) in enumerate(random.Random(0).sample(bits, 200)):
        with open(path, "rb") as file:
            whole = file.read()
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        with open(path, "wb") as file:
            file.write(broken)
        with pytest.raises(DamagedError, match="2"):
            read_checkpoint(f"{folder}/2")
        if number == 0:  # And the run gets the one before it.
            caplog.clear()
            _assert_whole(_restore(folder), 1)
            assert f"damaged checkpoint, using the one before it: {folder}/2" in caplog.text
            os.rename(f"{folder}/2.damaged", f"{folder}/2")
        with open(path, "wb") as file:
            file.write(whole)
    _assert_whole(_restore(folder), 2)


@pytest.mark.parametrize("change", ["missing", "added", "emptied"])
def test_a_checkpoint_whose_files_changed_is_damaged(folder, change):
    _save(folder, 1)
    path = f"{folder}/1/state/manifest.ocdbt"
    if change == "missing":
        os.unlink(path)
    else:
        with open(path + ".new" * (change == "added"), "wb"):
            pass
    assert _restore(folder) is None
    assert os.path.isdir(f"{folder}/1.damaged")


def test_arrays_that_orbax_gets_wrong_are_damaged(folder):
    _save(folder, 1)
    path = f"{folder}/1/manifest.json"
    with open(path) as file:
        manifest = json.loads(file.readline())
    manifest["arrays"]["step"] = "0" * 32  # As if Orbax had restored another one.
    body = json.dumps(manifest)
    with open(path, "w") as file:
        file.write(f"{body}\n{hashlib.blake2b(body.encode(), digest_size=16).hexdigest()}\n")
    with pytest.raises(DamagedError, match="wrong checksum of an array"):
        read_checkpoint(f"{folder}/1")


def test_a_save_that_fails_is_reported_and_leaves_the_earlier_one(folder, monkeypatch):
    _save(folder, 1)
    fill_disk(monkeypatch)
    checkpoints = CheckpointStore(folder, keep=3)
    checkpoints.save(Checkpoint(2, ARRAYS, {}))
    with pytest.raises(OSError, match=r"no checkpoint saved in .*: \[Errno 28\] No space left"):
        checkpoints.wait()
    checkpoints.check()  # Once is enough.
    checkpoints.close()
    assert not os.path.exists(f"{folder}/2")
    _assert_whole(_restore(folder), 1)


def test_names_that_are_no_steps_are_left_alone(folder):
    _save(folder, 1)
    os.mkdir(f"{folder}/notes")
    _assert_whole(_restore(folder), 1)
    assert os.path.isdir(f"{folder}/notes")
