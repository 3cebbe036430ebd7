"""Runs that start from a trained model: what they take from it, and how they are resumed."""

import itertools
import json
import shutil
import signal

import jax
import numpy as np
import pytest

from commands import train
from commands.run_flag_file import as_flagfile
from models.model_file import load_model
from pipeline.wav.encoding import Encoding
from runtime.errors import TrainingError
from tests.command_line import parsed
from tests.toy_model import Unigram
from tests.wav_files import random_frames, write_wav
from training.checkpoints.compatibility import check_hosts_agree
from training.config import TrainingConfig
from training.initial_model import InitialModel
from training.run import run
from training.state import make_init, start_loop, start_state, state_arrays

SMALL = ("--chunk_size=4096", "--batch_size=4", "--shuffle_window=1", "--learning_rate=0.05")


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audio")
    for number in range(5):
        frames = random_frames(Encoding.S16, 10 * 4096, 1, seed=number) // 20
        write_wav(folder / f"{number}.wav", frames, Encoding.S16)
    return folder


def _run(audio, out, *args, initial=None, model=None):
    values = parsed(*SMALL, f"--audio_dir={audio}", f"--output_dir={out}", *args)
    return run(train.run_config(values), model or Unigram(), as_flagfile(values), initial)


@pytest.fixture(scope="module")
def first(audio, tmp_path_factory):
    """A model that was trained."""
    out = tmp_path_factory.mktemp("first")
    _run(audio, out, "--training_steps=3")
    return _as_initial(out / "audio_model.npz", "aa")


def _as_initial(path, fingerprint):
    return InitialModel(
        name=str(path), fingerprint=fingerprint, config=Unigram().config, file=load_model(path)
    )


def _metrics(out):
    return (out / "audio_model_metrics.jsonl").read_text().splitlines()


def test_parameters_are_those_of_the_file_and_all_else_begins_anew(first):
    params = first.file.params
    model, config = Unigram(), TrainingConfig()
    state = start_state(model, config, make_init(model, config), None, params)
    loop = start_loop(None, has_params=True)
    arrays = state_arrays(state)
    assert arrays["params/logits"].tobytes() == params["logits"].tobytes()
    assert arrays["params/logits"].dtype == params["logits"].dtype
    rest = {name: x for name, x in arrays.items() if not name.startswith("params/")}
    assert len(rest) > 3 and not any(np.any(x) for x in rest.values())
    assert (loop.step, loop.must_validate) == (0, True)


def test_a_run_begins_where_the_model_is(audio, first, tmp_path, capsys):
    result = _run(audio, tmp_path, "--training_steps=5", "--log_every=5", initial=first)
    _, initial, *_ = map(json.loads, _metrics(tmp_path))
    before = first.file.training["metrics"]["valid/bits_per_sample"]
    assert initial["step"] == 0 and initial["valid/bits_per_sample"] == before
    assert result.initial_bits_per_sample == before > result.valid["valid/bits_per_sample"]
    said = capsys.readouterr().err
    assert f"initial model    {first.name} (aa), trained for 3 steps\n" in said
    assert f"initial model    {before:.4f} bits per sample of the same, -" in said
    file = load_model(tmp_path / "audio_model.npz")
    assert file.training["init_from"] == {"name": first.name, "fingerprint": "aa", "steps": 3}
    assert first.file.training["init_from"] is None and file.training["steps"] == 5


@pytest.mark.parametrize("stop_after", [1, 15])  # Before the first validation, and in training.
def test_what_is_resumed_is_the_same_run(audio, first, tmp_path, stop_after):
    args = ("--training_steps=20", "--log_every=3", "--eval_every=10")
    whole = _run(audio, tmp_path / "whole", *args, initial=first)
    count = 0

    def stop(batch):
        nonlocal count
        count += 1
        if count == stop_after:
            signal.raise_signal(signal.SIGTERM)

    out = tmp_path / "stopped"
    stopped = _run(audio, out, *args, initial=first, model=Unigram(on_prepare=stop))
    assert stopped.interrupted and stopped.steps < 20
    # Its file may have moved, and of what it holds now nothing is read.
    shutil.copy(first.name, tmp_path / "moved.npz")
    moved = _as_initial(tmp_path / "moved.npz", "aa")
    jax.tree.map(lambda array: array.fill(0), moved.file.params)
    _run(audio, out, *args, initial=moved)
    assert _metrics(out) == _metrics(tmp_path / "whole")
    params = load_model(out / "audio_model.npz").params["logits"]
    assert params.tobytes() == whole.params["logits"].tobytes()


def test_another_initial_model_is_refused(audio, first, tmp_path):
    args = ("--training_steps=4", "--checkpoint_every=2")
    count = itertools.count()

    def stop(batch):
        if not next(count):  # A second signal would end the process at once.
            signal.raise_signal(signal.SIGTERM)

    _run(audio, tmp_path, *args, initial=first, model=Unigram(on_prepare=stop))
    for other, shown in ((None, "None"), (_as_initial(first.name, "bb"), "bb")):
        with pytest.raises(TrainingError, match=f"init_from was aa, is {shown}[.]"):
            _run(audio, tmp_path, *args, initial=other)
    hosts = ({"init_from": "aa"}, {"init_from": "bb"})
    with pytest.raises(TrainingError, match="hosts 0 and 1 differ: init_from is aa and bb"):
        check_hosts_agree(hosts)
