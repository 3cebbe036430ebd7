"""A whole run around a toy model: the files it leaves and what it says."""

import contextlib
import fcntl
import json
import os
import pathlib
import shutil
import signal

import jax
import numpy as np
import pytest
import tensorflow as tf

from commands import train
from commands.run_flag_file import as_flagfile
from evaluation.training_runs.compare import compare
from evaluation.training_runs.run_dir import read_run
from models.model_file import load_model
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.wav.encoding import Encoding
from runtime.errors import ConfigError, TrainingError, UserError
from runtime.version import VERSION
from tests.command_line import parsed
from tests.runtime.test_appended_file import room_for
from tests.toy_model import Unigram
from tests.wav_files import random_frames, write_noise, write_wav
from training.checkpoints.store import CheckpointStore
from training.run import run

SMALL = ("--chunk_size=4096", "--batch_size=4", "--shuffle_window=1", "--training_steps=3")


@pytest.fixture
def audio(tmp_path):
    """Five files of ten chunks; returns their folder."""
    folder = tmp_path / "audio"
    folder.mkdir()
    write_noise(folder, 10 * 4096)
    return folder


def _run(audio, *args, model=None):
    """Runs; returns the result and the folder of its files."""
    output_dir = audio.parent / "out"
    values = parsed(*SMALL, f"--audio_dir={audio}", f"--output_dir={output_dir}", *args)
    model = model or Unigram(16 if "--use_16bit" in args else 8)
    return run(train.run_config(values), model, as_flagfile(values)), output_dir


def _on_batch(number, action):
    """Returns a hook that acts once, when a model prepares this batch of all."""
    return _on_batches({number: action})


def _on_batches(actions):
    count = 0

    def hook(batch):
        nonlocal count
        count += 1
        actions.get(count, lambda: None)()

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
        ("", f"{valid_bits / 8:.1%} of raw, which is 8 bits a sample here (--bit_depth)\n"),
        ("order-0 entropy", f"{result.valid['valid/order0_bits_per_sample']:.4f} bits per sample"),
        ("FLAC -8", "8.0"),  # Noise.
        ("skipped files", "0\n"),
        ("model", f"{out}/audio_model.npz\n"),
        ("this run again", f"python main.py --flagfile={out}/audio_model.flags\n"),
    ):
        said = f"{row:<16} {value}"
        assert said in console.err
        assert said in (out / "audio_model_training.log").read_text()
    assert read_run(str(out)).wall_time_s == result.wall_time_s


def test_the_model_file_says_how_it_was_made(audio):
    settings = ("--seed=7", "--use_16bit", "--valid_fraction=0.4", "--gain_probability=0.5")
    result, out = _run(audio, *settings)
    file = load_model(out / "audio_model.npz")
    np.testing.assert_array_equal(file.params["logits"], result.params["logits"])
    assert file.config == {"depth": 16}
    assert (file.data["audio_dirs"], file.data["valid_fraction"]) == ([str(audio)], 0.4)
    assert (file.data["pipeline"]["depth"], file.data["pipeline"]["seed"]) == (16, 7)
    assert file.training["steps"] == 3
    assert file.training["metrics"] == {**result.train, **result.valid}
    assert file.training["config"]["seed"] == 7
    assert file.training["augmentation"] == {"mix_probability": 0.0, "gain_probability": 0.5}
    assert file.training["pool"] is None  # This model reads whole chunks.
    assert file.training["audio"].startswith("2 files with 81,920 samples (")
    assert file.training["num_chunks"] == 488281
    made_with = file.training["made_with"]
    assert made_with["wavestream"] == VERSION and made_with["devices"] == "1 x cpu"
    assert made_with["jax"] == jax.__version__ and made_with["tensorflow"] == tf.__version__


def test_nothing_of_an_earlier_run_is_lost(audio):
    _, out = _run(audio)
    (out / "audio_model_metrics.jsonl").write_text("earlier")
    (out / "audio_model_curves.png").write_text("earlier")
    before = (out / "audio_model.npz").read_bytes()
    _run(audio, "--seed=1")
    assert (out / "audio_model.1.npz").read_bytes() == before
    assert (out / "audio_model_metrics.1.jsonl").read_text() == "earlier"
    assert (out / "audio_model_curves.1.png").read_text() == "earlier"
    assert (out / "audio_model.npz").read_bytes() != before
    kept = f"the earlier {out}/audio_model.npz is kept as {out}/audio_model.1.npz"
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

    def lose_folder():
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "out").write_text("a file in its place")

    losing = Unigram(on_prepare=_on_batch(1, lose_folder))
    with pytest.raises(OSError, match=r"model.npz cannot be written \(.*File exists") as error:
        _run(audio, "--checkpoint_minutes=0", model=losing)
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
    skipped, validations = _log(out, "WARNING")[:2], _log(out, "WARNING")[2:]
    assert sorted(skipped) == [
        f"'{audio}/{name}' skipped, it can no longer be read: No such file or directory"
        for name in ("0.wav", "1.wav")
    ]
    assert validations == [  # These two were held out.
        f"step {step}: no validation: none of the files held out can be read"
        for step in (50, 100, 150, 200)
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


@pytest.mark.slow
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


@pytest.mark.slow
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
    assert read_run(str(out)).wall_time_s == result.wall_time_s
    result, _ = _run(audio, "--valid_fraction=0")
    assert load_model(out / "audio_model.npz").training["steps"] == 3
    assert read_run(str(out)).wall_time_s == result.wall_time_s  # Of the summary, by which it ends.
    assert not (out / "audio_model.1.npz").exists()  # Of the same run nothing is kept.


@pytest.mark.slow
@pytest.mark.parametrize("name", [" [b]* ?,'\\%\"\n ", os.fsdecode(b"**\xff")])
def test_any_name_will_do(audio, name):
    """For the folder of the audio, of the output, and the run."""
    root = audio.parent / name
    root.mkdir()
    audio.rename(root / name)
    args = (f"--audio_dir={root / name}", f"--output_dir={root}", f"--model_name={name}")
    values = parsed(*SMALL, *args, "--training_steps=1")
    flagfile = as_flagfile(values)
    run(train.run_config(values), Unigram(), flagfile)
    assert load_model(root / f"{name}.npz").data["audio_dirs"] == [str(root / name)]
    assert (root / f"{name}_curves.png").exists()
    assert os.listdir(root / "tensorboard" / name)

    assert as_flagfile(parsed(f"--flagfile={root / name}.flags")) == flagfile
    again = parsed(f"--flagfile={root / name}.flags", "--training_steps=2")
    run(train.run_config(again), Unigram(), as_flagfile(again))
    log = (root / f"{name}_training.log").read_text()
    assert "resuming         after step 1 of 2" in log
    assert " WARNING " not in log and " ERROR " not in log
    assert _steps(root, name) == [0, 1, 1, 2, 2]
    assert read_run(str(root / name)).steps == 2


def _lines(out, name="audio_model"):
    return (out / f"{name}_metrics.jsonl").read_text().splitlines()


def _steps(out, name="audio_model"):
    return [json.loads(line)["step"] for line in _lines(out, name)]


def test_a_second_run_of_the_same_files_is_refused(audio):
    def second():
        before = (out / "audio_model_training.log").read_bytes()
        with pytest.raises(ConfigError, match=f"is held by process {os.getpid()} on ") as error:
            _run(audio)
        assert "expected no other run to write the same files" in str(error.value)
        assert (out / "audio_model_training.log").read_bytes() == before
        _run(audio, "--model_name=other")  # Its files are others.

    out = audio.parent / "out"
    result, _ = _run(audio, model=Unigram(on_prepare=_on_batch(1, second)))
    assert result.steps == 3
    assert not list(out.glob("*.lock"))


@pytest.mark.slow
def test_two_runs_in_one_folder_keep_to_their_own_files(audio):
    def files(name):
        own = [*out.glob(f"{name}[._]*"), *(out / "tensorboard" / name).iterdir()]
        return {path: path.read_bytes() for path in own if path.is_file()}

    for steps in (2, 4):
        for name in ("a", "b"):
            other = {"a": "b", "b": "a"}[name]
            out = audio.parent / "out"
            before = files(other) if steps == 4 or name == "b" else None
            _run(audio, f"--model_name={name}", f"--training_steps={steps}", "--seed=3")
            if before:
                assert files(other) == before
    assert _steps(out, "a") == _steps(out, "b") == [0, 1, 2, 2, 4, 4]
    assert sorted(path.name for path in (out / "tensorboard").iterdir()) == ["a", "b"]
    comparison = compare([out / "a", out / "b"])
    assert [run.steps for run in comparison.runs] == [4, 4]


def test_a_finished_run_goes_on_to_more_steps(audio):
    _run(audio, "--training_steps=4", "--lr_schedule=linear", "--warmup_steps=0")
    result, out = _run(audio, "--training_steps=8", "--lr_schedule=linear", "--warmup_steps=0")
    assert result.steps == 8
    assert "resuming         after step 4 of 8" in (out / "audio_model_training.log").read_text()
    assert _steps(out) == [0, 1, 4, 4, 8, 8]
    # The schedule is that of all 8 steps: its last step but one has decayed by 7/8 of 99%.
    assert result.train["train/learning_rate"] == pytest.approx(1e-4 * (1 - 0.99 * 7 / 8))
    assert load_model(out / "audio_model.npz").training["steps"] == 8
    assert load_model(out / "audio_model.1.npz").training["steps"] == 4


def test_a_finished_run_is_asked_for_fewer_steps(audio):
    _, out = _run(audio, "--training_steps=4")
    before = (out / "audio_model.npz").read_bytes()
    with pytest.raises(TrainingError, match="--training_steps=3: the run here has done 4 steps"):
        _run(audio, "--training_steps=3")
    assert (out / "audio_model.npz").read_bytes() == before
    assert _run(audio, "--training_steps=3", "--fresh")[0].steps == 3


def test_more_steps_of_another_run_are_refused(audio):
    _run(audio, "--training_steps=4")
    with pytest.raises(TrainingError, match="other settings: learning_rate was "):
        _run(audio, "--training_steps=6", "--learning_rate=0.01")
    allow = "--allow_change=learning_rate"
    assert _run(audio, "--training_steps=6", "--learning_rate=0.01", allow)[0].steps == 6


@pytest.mark.parametrize("batch", [1, 6])
def test_a_folder_that_is_removed_during_the_run_is_made_anew(audio, batch, caplog):
    """In the first step, in the last, and in the validation after it."""
    out = audio.parent / "out"
    args = ("--log_every=1", "--checkpoint_every=1", "--valid_fraction=0.4", "--eval_steps=0")
    removing = _on_batch(batch, lambda: shutil.rmtree(out))
    result, _ = _run(audio, *args, model=Unigram(on_prepare=removing))
    assert result.steps == 3
    assert _steps(out) == [0, 1, 2, 3, 3]
    log = (out / "audio_model_training.log").read_text()
    assert "was removed during the run" in log and "3 of 3" in log and "devices " in log
    for suffix in (".npz", ".flags", "_curves.png"):
        assert (out / f"audio_model{suffix}").exists()
    assert any((out / "tensorboard" / "audio_model").iterdir())
    assert CheckpointStore(str(out / "audio_model_checkpoints"), keep=1).steps()


def test_a_folder_that_another_run_has_taken_is_left_to_it(audio):
    out = audio.parent / "out"

    descriptors = []

    def take():
        shutil.rmtree(out)
        out.mkdir()
        (out / "audio_model.lock").write_text("process 7 on elsewhere")
        descriptors.append(os.open(out / "audio_model.lock", os.O_RDWR))
        fcntl.flock(descriptors[0], fcntl.LOCK_EX)

    with pytest.raises(TrainingError, match="held by process 7 on elsewhere"):
        _run(audio, "--training_steps=50", model=Unigram(on_prepare=_on_batch(1, take)))
    os.close(descriptors[0])
    assert not (out / "audio_model.npz").exists()
    assert not (out / "audio_model_checkpoints").exists()


def test_a_disk_that_was_full_for_a_while_loses_no_record(audio, capsys):
    """The records are whole, and each failure of a checkpoint is one line."""
    out = audio.parent / "out"
    stack = contextlib.ExitStack()
    args = ("--training_steps=20", "--log_every=1", "--checkpoint_every=2", "--eval_every=100")
    model = Unigram(
        on_prepare=_on_batches({6: lambda: stack.enter_context(room_for(100)), 14: stack.close})
    )
    result, _ = _run(audio, *args, model=model)
    assert result.steps == 20
    assert _steps(out) == [0, *range(1, 21), 20]
    (path,) = (out / "tensorboard" / "audio_model").iterdir()
    records = tf.data.TFRecordDataset([str(path)]).as_numpy_iterator()
    steps = [tf.compat.v1.Event.FromString(record).step for record in records]
    assert steps == [0, 0, *range(1, 21), 20, 20]  # The last one has the time of the whole run.
    log = (out / "audio_model_training.log").read_text()
    assert [f"step {step:2}/20" in log for step in range(1, 21)] == [True] * 20
    failures = [x for x in _log(out, "WARNING") if x.startswith("no checkpoint saved")]
    assert 2 <= len(failures) <= 5
    assert "Traceback" not in log + capsys.readouterr().err
    assert sorted(os.listdir(out / "audio_model_checkpoints")) == ["16.npz", "18.npz", "20.npz"]


def test_a_folder_without_audio_leaves_no_files_of_a_run(audio, tmp_path):
    empty, out = tmp_path / "empty", tmp_path / "out"
    empty.mkdir()
    config = train.run_config(parsed(f"--audio_dir={empty}", f"--output_dir={out}"))
    with pytest.raises(UserError, match=r"no [.]wav file"):
        run(config, Unigram(), "")
    assert list(out.iterdir()) == []
    _run(audio)
    before = sorted(out.iterdir())
    with pytest.raises(UserError):  # What an earlier run has left stays.
        run(config, Unigram(), "")
    assert sorted(out.iterdir()) == before
