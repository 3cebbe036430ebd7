"""A whole run around a toy model: the files it leaves and what it says."""

import json
import pathlib
import shutil
import signal

import numpy as np
import pytest

from commands import train
from models.model_file import load_model
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.wav.encoding import Encoding
from runtime.errors import TrainingError
from runtime.version import VERSION
from tests.command_line import parsed
from tests.toy_model import Unigram
from tests.wav_files import random_frames, write_wav
from training.checkpoints.store import CheckpointStore
from training.run import run


@pytest.fixture
def audio(tmp_path):
    """Five files of ten chunks; returns their folder."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number in range(5):
        frames = random_frames(Encoding.S16, 10 * 4096, 1, seed=number)
        write_wav(folder / f"{number}.wav", frames, Encoding.S16)
    return folder


def _run(audio, *args, model=None):
    """Runs; returns the result and the folder of its files."""
    output_dir = audio.parent / "out"
    small = ("--chunk_size=4096", "--batch_size=4", "--shuffle_window=1", "--training_steps=3")
    values = parsed(f"--audio_dir={audio}", f"--output_dir={output_dir}", *small, *args)
    model = model or Unigram(16 if "--use_16bit" in args else 8)
    return run(train.run_config(values), model, train.as_flagfile(values)), output_dir


def _on_batch(number, action):
    """Returns a hook that acts once, when a model prepares this batch of all."""
    count = 0

    def hook(batch):
        nonlocal count
        count += 1
        if count == number:
            action()

    return hook


def _log(output_dir: pathlib.Path, level: str) -> list[str]:
    lines = (output_dir / "audio_model_training.log").read_text().splitlines()
    return [line.split(f" {level} ")[1] for line in lines if f" {level} " in line]


def test_what_a_run_leaves(audio, capsys):
    result, out = _run(audio)
    assert sorted(path.name for path in out.iterdir()) == [
        "audio_model.catalogue",
        "audio_model.flags",
        "audio_model.npz",
        "audio_model_checkpoints",
        "audio_model_curves.png",
        "audio_model_flac.json",
        "audio_model_metrics.jsonl",
        "audio_model_timing.jsonl",
        "audio_model_training.log",
        "tensorboard",
    ]
    console = capsys.readouterr()
    assert console.out == ""
    valid_bits = result.valid["valid/bits_per_sample"]
    for row, value in (
        ("training", "4 files, 40 chunks, 163,840 samples\n"),
        ("steps", "3 of 3\n"),
        ("loss", f"{result.train['train/loss']:.4f} nats per sample\n"),
        ("train", f"{result.train['train/bits_per_sample']:.4f} bits per sample\n"),
        ("validation", f"{valid_bits:.4f} bits per sample, on 40,960 samples"),
        ("", f"{valid_bits / 8:.1%} of the 8 bits of a raw sample\n"),
        ("order-0 entropy", f"{result.valid['valid/order0_bits_per_sample']:.4f} bits per sample"),
        ("FLAC -8", "8.0"),  # Noise.
        ("skipped files", "0\n"),
        ("model", f"{out}/audio_model.npz\n"),
        ("this run again", f"python main.py --flagfile={out}/audio_model.flags\n"),
    ):
        said = f"{row:<16} {value}"
        assert said in console.err
        assert said in (out / "audio_model_training.log").read_text()


def test_the_model_file_says_how_it_was_made(audio):
    result, out = _run(audio, "--seed=7", "--use_16bit", "--valid_fraction=0.4")
    file = load_model(out / "audio_model.npz")
    np.testing.assert_array_equal(file.params["logits"], result.params["logits"])
    assert file.config == {"depth": 16}
    assert (file.data["audio_dirs"], file.data["valid_fraction"]) == ([str(audio)], 0.4)
    assert (file.data["pipeline"]["depth"], file.data["pipeline"]["seed"]) == (16, 7)
    assert file.training["steps"] == 3
    assert file.training["metrics"] == {**result.train, **result.valid}
    assert file.training["config"]["seed"] == 7


def test_nothing_of_an_earlier_run_is_lost(audio):
    _, out = _run(audio)
    (out / "audio_model_metrics.jsonl").write_text("earlier")
    before = (out / "audio_model.npz").read_bytes()
    _run(audio, "--seed=1")
    assert (out / "audio_model.1.npz").read_bytes() == before
    assert (out / "audio_model_metrics.1.jsonl").read_text() == "earlier"
    assert (out / "audio_model.npz").read_bytes() != before
    kept = f"{out}/audio_model.npz of an earlier run is renamed to {out}/audio_model.1.npz"
    assert kept in _log(out, "INFO")
    assert (out / "audio_model_training.log").read_text().count("3 of 3") == 2


def test_a_model_that_diverges_leaves_the_earlier_one(audio):
    _, out = _run(audio)
    before = (out / "audio_model.npz").read_bytes()
    with pytest.raises(TrainingError, match=r"step 1 is not finite; it saw batch 0, of .*\.wav"):
        _run(audio, "--fresh", model=Unigram(nan_at=0))
    assert (out / "audio_model.npz").read_bytes() == before
    assert not (out / "audio_model.1.npz").exists()


def test_a_model_that_cannot_be_written_is_saved_elsewhere(audio, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    lose_folder = _on_batch(1, lambda: shutil.rmtree(tmp_path / "out"))
    with pytest.raises(OSError, match=r"model.npz cannot be written \(.*No such file") as error:
        _run(audio, "--checkpoint_minutes=0", model=Unigram(on_prepare=lose_folder))
    path = str(error.value).split("the model is in ")[1]
    assert path.startswith(str(tmp_path))
    assert load_model(path).params["logits"].shape == (256,)


def _remove(audio, *names):
    for name in names:
        (audio / name).unlink()


def test_a_file_that_disappears_is_named_once_and_left_out(audio):
    removing = _on_batch(1, lambda: _remove(audio, "0.wav", "1.wav"))
    result, out = _run(
        audio,
        *("--training_steps=200", "--eval_every=50", "--valid_fraction=0.4"),
        model=Unigram(on_prepare=removing),
    )
    assert result.steps == 200
    assert sorted(_log(out, "WARNING")) == [
        f"'{audio}/{name}' skipped, it can no longer be read: No such file or directory"
        for name in ("0.wav", "1.wav")
    ]
    assert "skipped files 2 " in " ".join((out / "audio_model_training.log").read_text().split())


@pytest.mark.parametrize(("args", "count"), [((), 3), (("--strict",), 1)])
def test_a_folder_that_disappears_ends_the_run_and_what_was_trained_is_kept(audio, args, count):
    removing = _on_batch(1, lambda: _remove(audio, *(f"{number}.wav" for number in range(5))))
    with pytest.raises(TrainingError, match="cannot be used") as error:
        _run(audio, "--training_steps=5000", *args, model=Unigram(on_prepare=removing))
    assert ("--strict" in str(error.value)) == bool(args)
    out = audio.parent / "out"
    assert load_model(out / "audio_model.npz").training["steps"] < 5000
    assert len(_log(out, "WARNING")) >= count
    assert CheckpointStore(str(out / "audio_model_checkpoints"), keep=1).steps()


def test_too_many_skipped_files_end_a_run_before_training(audio):
    (audio / "broken.wav").write_bytes(b"RIFF")
    with pytest.raises(TrainingError, match="--strict allows no skipped file"):
        _run(audio, "--strict")
    assert not (audio.parent / "out" / "audio_model.npz").exists()


def test_wandb_that_cannot_start_is_one_warning(audio, tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text("raise OSError('no network')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result, out = _run(audio, "--wandb_project=p")
    assert result.steps == 3
    assert _log(out, "WARNING") == ["wandb is off for the rest of this run: no network"]


_KEEPS_CALLS = """
import json, os, sys
class Run:
    url, summary = "here", {}
    def log(self, metrics, step): pass
    def finish(self): keep("finish", self.summary)
def keep(*call):
    with open(os.environ["CALLS"], "a") as file: print(json.dumps(call), file=file)
def init(*, id, resume, config, **others):
    keep("init", id, config)
    return Run()
"""


def test_wandb_continues_a_run_that_is_resumed_and_begins_a_fresh_one(audio, tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text(_KEEPS_CALLS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    stopping = _on_batch(1, lambda: signal.raise_signal(signal.SIGINT))
    _run(audio, "--wandb_project=p", model=Unigram(on_prepare=stopping))
    result, _ = _run(audio, "--wandb_project=p")
    _run(audio, "--wandb_project=p", "--fresh")
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    ids = [call[1] for call in calls if call[0] == "init"]
    assert ids[0] == ids[1] != ids[2]
    flac = "valid/flac_bits_per_sample"
    assert flac not in calls[1][1] and 7.9 < calls[3][1][flac] < 8.1  # Measured before.
    config = calls[0][2]
    assert (config["num_train_files"], config["num_val_files"], config["num_params"]) == (4, 1, 256)
    assert config["version"] == VERSION
    assert result.steps == 3


def _says_flac(output_dir):
    return sum(line.startswith("FLAC -8 ") and "files" in line for line in _log(output_dir, "INFO"))


def test_flac_is_measured_once_for_the_same_files_and_settings(audio):
    _, out = _run(audio)
    _run(audio, "--fresh", "--learning_rate=0.1")
    assert _says_flac(out) == 1
    (out / "audio_model_flac.json").write_text("[torn")
    _run(audio, "--fresh")
    assert _says_flac(out) == 2
    _run(audio, "--fresh", "--use_16bit")
    assert _says_flac(out) == 3


def test_other_files_of_validation_are_told_and_measured_again(audio):
    stopping = _on_batch(1, lambda: signal.raise_signal(signal.SIGINT))
    _, out = _run(audio, model=Unigram(on_prepare=stopping))
    (held_out,) = _held_out(audio)
    frames = random_frames(Encoding.S16, 5 * 4096, 1, seed=99)
    write_wav(audio / held_out, frames, Encoding.S16)
    _run(audio)
    (warning,) = [line for line in _log(out, "WARNING") if "validation" in line]
    assert "1 files with 40,960 samples" in warning and "1 files with 20,480 samples" in warning
    assert _says_flac(out) == 2
    lines = map(json.loads, (out / "audio_model_metrics.jsonl").read_text().splitlines())
    assert [x["step"] for x in lines if "valid/flac_bits_per_sample" in x] == [0, 1]


def _held_out(audio):
    corpus = open_corpus([str(audio)], PipelineConfig(), valid_fraction=0.2)
    return [pathlib.Path(path).name for path in corpus.valid.catalogue.paths]


def test_an_interrupted_run_without_validation(audio, capsys):
    signalling = _on_batch(1, lambda: signal.raise_signal(signal.SIGINT))
    result, out = _run(audio, "--valid_fraction=0", model=Unigram(on_prepare=signalling))
    assert (result.steps, result.signal) == (1, signal.SIGINT)
    err = capsys.readouterr().err
    assert "validation       no file is held out\n" in err
    table = err[err.index("----") :]
    assert "1 of 3, interrupted; the same command resumes it\n" in table
    assert "validation" not in table and "order-0" not in table
    assert load_model(out / "audio_model.npz").training["steps"] == 1
