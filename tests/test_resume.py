"""Runs that are killed, stopped and started once more, as a user would, from the command line."""

import json
import os
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from tests.command_line import ROOT, TINY
from tests.fork_server import python
from tests.wav_files import write_walks

ARGS = (
    *TINY,
    "--training_steps=600",
    "--log_every=7",
    "--eval_every=90",
    "--eval_steps=2",
    "--checkpoint_every=4",
    "--checkpoint_minutes=0",
    "--learning_rate=0.01",
)


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    write_walks(folder)
    return folder


def _start(audio, out, *args):
    return subprocess.Popen(
        python("main.py", f"--audio_dir={audio}", f"--output_dir={out}", *ARGS, *args),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _finish(process):
    out, _ = process.communicate(timeout=400)
    return process.returncode, out


@pytest.fixture(scope="module")
def whole(audio, tmp_path_factory):
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole")
    status, said = _finish(_start(audio, out))
    assert status == 0, said
    return out


def _wait_for(condition, process):
    deadline = time.monotonic() + 200
    while not condition():
        assert not process.poll(), process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_training(out):
    """Whether the life of the run that has just begun has trained so far that it saves."""
    log = out / "audio_model_training.log"
    before = log.read_text().count("| loss") if log.exists() else 0
    return lambda: log.exists() and log.read_text().count("| loss") > before


def _last_saved(out):
    checkpoints = (out / "audio_model_checkpoints").glob("*.npz")
    return max((int(path.stem) for path in checkpoints), default=-1)


def _assert_same(out, whole):
    assert (out / "audio_model_metrics.jsonl").read_bytes() == (
        whole / "audio_model_metrics.jsonl"
    ).read_bytes()
    with np.load(out / "audio_model.npz") as ours, np.load(whole / "audio_model.npz") as theirs:
        assert set(ours) == set(theirs)
        for name in ours:
            if name.startswith("params/"):
                assert ours[name].tobytes() == theirs[name].tobytes(), name


def _kill_and_compare(audio, whole, out, kills, seed):
    rng = random.Random(seed)
    for _ in range(kills):
        before = _last_saved(out)
        process = _start(audio, out)
        # Each life gets somewhere, and never to the end: a checkpoint comes every 4 steps, and what
        # it is at when it ends is anything.
        _wait_for(lambda: _last_saved(out) > before, process)  # noqa: B023
        time.sleep(rng.uniform(0, 0.15))
        assert process.poll() is None, "the run has ended before it was killed"
        process.kill()
        process.communicate()
    status, said = _finish(_start(audio, out))
    assert status == 0, said
    _assert_same(out, whole)


@pytest.mark.slow
@pytest.mark.both_stacks
def test_a_run_that_is_killed_is_the_same_run(audio, whole, tmp_path):
    _kill_and_compare(audio, whole, tmp_path, kills=2, seed=0)
    log = (tmp_path / "audio_model_training.log").read_text()
    assert log.count("resuming         after step") == 2


@pytest.mark.slow
def test_killed_eight_times_is_not_killed(audio, whole, tmp_path):
    _kill_and_compare(audio, whole, tmp_path, kills=8, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_saves_and_the_same_command_goes_on(audio, whole, tmp_path, number, status):
    process = _start(audio, tmp_path, "--checkpoint_every=0", "--checkpoint_minutes=100")
    _wait_for(_is_training(tmp_path), process)
    process.send_signal(number)
    ended, said = _finish(process)
    assert ended == status, said
    assert "interrupted; the same command resumes it" in said
    assert (tmp_path / "audio_model.npz").exists()
    assert _finish(_start(audio, tmp_path))[0] == 0
    _assert_same(tmp_path, whole)


def test_a_finished_run_is_left_as_it_is(audio, whole, tmp_path):
    before = {path: path.read_bytes() for path in whole.glob("*.npz")}
    status, said = _finish(_start(audio, whole))
    assert status == 0
    assert "all 600 steps are done; --fresh trains anew" in said
    assert before == {path: path.read_bytes() for path in whole.glob("*.npz")}


@pytest.mark.slow
def test_other_settings_are_refused_one_by_one(audio, tmp_path):
    process = _start(audio, tmp_path)
    _wait_for(_is_training(tmp_path), process)
    process.terminate()
    assert _finish(process)[0] == 143
    metrics = (tmp_path / "audio_model_metrics.jsonl").read_bytes()

    status, said = _finish(_start(audio, tmp_path, "--learning_rate=0.02", "--seed=1"))
    assert status == 2
    line = said.splitlines()[-1]
    assert "error: there is a run here, with other settings: " in line
    assert "learning_rate was 0.01, is 0.02; seed was 42, is 1" in line
    assert "--allow_change=learning_rate,seed;" in line
    assert (tmp_path / "audio_model_metrics.jsonl").read_bytes() == metrics

    status, said = _finish(
        _start(audio, tmp_path, "--learning_rate=0.02", "--allow_change=learning_rate")
    )
    assert status == 0, said
    assert "resuming         after step" in said
    steps = [
        json.loads(x)["step"]
        for x in (tmp_path / "audio_model_metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps) and steps[-1] == 600

    status, said = _finish(_start(audio, tmp_path, "--training_steps=8", "--fresh"))
    assert status == 0, said
    assert os.path.isdir(tmp_path / "audio_model_checkpoints.1")
    assert (tmp_path / "audio_model_metrics.1.jsonl").exists()


@pytest.mark.slow
def test_adaptive_predictors_go_on_as_if_nothing_had_happened(audio, tmp_path):
    """Nothing of features is in a checkpoint: the pool that steps draw from is filled up anew."""
    no_transformer = ("--embedding_dim=64", "--num_heads=8", "--num_layers=4")
    args = (*no_transformer, "--widening_factor=4", "--predictors=adaptive", "--training_steps=200")
    # A batch of 256 samples is read every 8 steps, and stays for 32.
    args += ("--feature_pool=1000", "--samples_per_step=64", "--feature_reuse=2")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    status, said = _finish(_start(audio, whole, *args))
    assert status == 0, said
    process = _start(audio, cut, *args)
    _wait_for(lambda: _last_saved(cut) >= 40, process)
    process.kill()
    process.communicate()
    status, said = _finish(_start(audio, cut, *args))
    assert status == 0 and "resuming         after step" in said, said
    _assert_same(cut, whole)
