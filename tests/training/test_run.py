"""A whole run around a toy model: the files it leaves and what it says."""

import dataclasses
import pathlib

import numpy as np
import pytest

import flags
from models.model_file import load_model
from pipeline.dataset import make_dataset
from pipeline.wav.encoding import Encoding
from tests import toy_model
from tests.command_line import parsed
from tests.wav_files import random_frames, write_wav
from training import loop, run
from training.checkpoints.store import CheckpointStore
from training.job import Result

RESULT = Result(
    params={"logits": np.arange(256, dtype=np.float32)},
    steps=3,
    train={"train/loss": 2.5, "train/bits_per_sample": 3.6067},
    valid={
        "valid/bits_per_sample": 4.0,
        "valid/order0_bits_per_sample": 5.0,
        "valid/samples": 1000.0,
    },
    signal=None,
    failure=None,
    seconds=3725.2,
)


@pytest.fixture(autouse=True)
def trained(monkeypatch):
    """Leaves out the training; returns what it results in, to be changed."""
    results = [RESULT]
    monkeypatch.setattr(run, "make_dataset", lambda *args, **kwargs: None)
    monkeypatch.setattr(run, "train", lambda *args, **kwargs: results[-1])
    return results


@pytest.fixture
def toy(trained, monkeypatch):
    """Trains a toy model."""
    monkeypatch.setattr(run, "make_dataset", make_dataset)
    monkeypatch.setattr(run, "train", loop.train)
    monkeypatch.setattr(loop, "Transformer", toy_model.Unigram)
    monkeypatch.setattr(loop, "init_params", toy_model.init_params)


@pytest.fixture
def audio(tmp_path):
    """Five files of ten chunks; returns their folder."""
    folder = tmp_path / "audio"
    folder.mkdir()
    for number in range(5):
        frames = random_frames(Encoding.S16, 10 * 4096, 1, seed=number)
        write_wav(folder / f"{number}.wav", frames, Encoding.S16)
    return folder


def _run(audio, *args):
    """Runs; returns the result and the folder of its files."""
    output_dir = audio.parent / "out"
    small = ("--chunk_size=4096", "--batch_size=4", "--shuffle_window=1", "--training_steps=3")
    with parsed(f"--audio_dir={audio}", f"--output_dir={output_dir}", *small, *args):
        return run.run(flags.config(), flags.as_flagfile()), output_dir


def _log(output_dir: pathlib.Path, level: str) -> list[str]:
    lines = (output_dir / "audio_model_training.log").read_text().splitlines()
    return [line.split(f" {level} ")[1] for line in lines if f" {level} " in line]


def test_what_a_run_leaves(audio, capsys):
    _, out = _run(audio)
    assert sorted(path.name for path in out.iterdir()) == [
        "audio_model.catalogue",
        "audio_model.flags",
        "audio_model.npz",
        "audio_model_curves.png",
        "audio_model_training.log",
        "metrics.jsonl",
        "tensorboard",
        "timing.jsonl",
    ]
    console = capsys.readouterr()
    assert console.out == ""
    for said in (
        "training         4 files, 40 chunks, 163,840 samples\n",
        "steps            3 of 3\n",
        "loss             2.5000 nats per symbol\n",
        "train            3.6067 bits per sample\n",
        "validation       4.0000 bits per sample",
        "                 50.0% of the 8 bits of a raw sample\n",
        "order-0 entropy  5.0000 bits per sample",
        "FLAC -8          8.0",  # Noise.
        "time             01:02:05\n",
        "skipped files    0\n",
        f"model            {out}/audio_model.npz\n",
        f"this run again   python main.py --flagfile={out}/audio_model.flags\n",
    ):
        assert said in console.err
        assert said in (out / "audio_model_training.log").read_text()


def test_a_catalogue_that_is_given_is_used_in_place_of_the_runs_own(audio):
    path = audio.parent / "given.catalogue"
    for _ in range(2):
        _, out = _run(audio, f"--catalogue={path}", "--fresh")
        assert path.exists()
        assert not (out / "audio_model.catalogue").exists()
    assert f"--catalogue={path}" in (out / "audio_model.flags").read_text()


def test_the_model_file_tells_how_it_was_made(audio):
    _, out = _run(audio, "--seed=7", "--use_16bit")
    model = load_model(out / "audio_model.npz")
    np.testing.assert_array_equal(model.params["logits"], RESULT.params["logits"])
    assert model.settings["steps"] == 3
    assert model.settings["metrics"] == {**RESULT.train, **RESULT.valid}
    assert model.settings["audio_dirs"] == [str(audio)]
    assert model.pipeline().use_16bit
    assert (model.pipeline().seed, model.model().config.vocab_size) == (7, 65536)


def test_nothing_of_an_earlier_run_is_lost(audio):
    _, out = _run(audio)
    (out / "metrics.jsonl").write_text("earlier")
    before = (out / "audio_model.npz").read_bytes()
    _run(audio, "--seed=1")
    assert (out / "audio_model.1.npz").read_bytes() == before
    assert (out / "metrics.1.jsonl").read_text() == "earlier"
    assert (out / "audio_model.npz").read_bytes() != before
    kept = f"{out}/audio_model.npz of an earlier run is kept as {out}/audio_model.1.npz"
    assert kept in _log(out, "INFO")
    assert (out / "audio_model_training.log").read_text().count("3 of 3") == 2


def test_a_lost_model_leaves_the_earlier_one(audio, monkeypatch):
    def lose(*args, **kwargs):
        raise loop.TrainingError("the model is lost")

    _, out = _run(audio)
    before = (out / "audio_model.npz").read_bytes()
    monkeypatch.setattr(run, "train", lose)
    with pytest.raises(loop.TrainingError):
        _run(audio)
    assert (out / "audio_model.npz").read_bytes() == before
    assert not (out / "audio_model.1.npz").exists()


def test_a_model_that_cannot_be_written_is_saved_elsewhere(audio, tmp_path, monkeypatch):
    save_model = run.save_model

    def fill_disk(path, *args):
        if path.endswith("out/audio_model.npz"):
            raise OSError("No space left on device")
        save_model(path, *args)

    monkeypatch.setattr(run, "save_model", fill_disk)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match=r"model.npz cannot be written \(No space left") as error:
        _run(audio)
    path = str(error.value).split("the model is in ")[1]
    assert path.startswith(str(tmp_path))
    np.testing.assert_array_equal(load_model(path).params["logits"], RESULT.params["logits"])


@pytest.mark.usefixtures("toy")
def test_a_file_that_disappears_is_named_once_and_left_out(audio, monkeypatch):
    make_writers = run.make_writers

    def removing(*args, **kwargs):
        writer = make_writers(*args, **kwargs)
        write = writer.write

        def remove_and_write(step, metrics):
            for name in ("0.wav", "1.wav"):
                (audio / name).unlink(missing_ok=True)
            write(step, metrics)

        writer.write = remove_and_write
        return writer

    monkeypatch.setattr(run, "make_writers", removing)
    result, out = _run(audio, "--training_steps=200", "--eval_every=50", "--valid_fraction=0.4")
    assert result.steps == 200
    assert sorted(_log(out, "WARNING")) == [
        f"'{audio}/{name}' skipped, it can no longer be read: No such file or directory"
        for name in ("0.wav", "1.wav")
    ]
    assert "skipped files 2 " in " ".join((out / "audio_model_training.log").read_text().split())


@pytest.mark.parametrize(
    ("args", "warning"),
    [
        (("--stereo_blocking_n=1024",), "2 * --stereo_blocking_n = 2048 is less than --chunk"),
        (("--stereo_blocking_n=4096",), "2 * --stereo_blocking_n = 8192 is more than --chunk"),
        (("--stereo_blocking_n=2048",), None),
        (("--stereo_blocking_n=1024", "--downmix"), None),
    ],
)
def test_blocks_that_do_not_fit_a_chunk(audio, args, warning):
    write_wav(audio / "stereo.wav", random_frames(Encoding.U8, 5000, 2), Encoding.U8)
    _, out = _run(audio, "--nodownmix", *args)
    warnings = _log(out, "WARNING")
    assert len(warnings) == (warning is not None)
    for said in warnings:
        assert said.startswith(warning)
        assert said.endswith("; --stereo_blocking_n=2048 makes it exactly one")


def test_no_warning_of_blocks_where_all_is_mono(audio):
    _, out = _run(audio, "--nodownmix", "--stereo_blocking_n=1")
    assert _log(out, "WARNING") == []


@pytest.mark.parametrize(
    ("broken", "args", "message"),
    [
        (1, ("--strict",), r"0\.broken\.wav' cannot be used \(.*\), and --strict allows no"),
        (6, (), r"6 of 11 files cannot be used, more than --max_skipped_fraction=0\.5: "),
        (1, ("--max_skipped_fraction=0.1",), "1 of 6 files cannot be used, more than"),
    ],
)
def test_too_many_skipped_files_are_an_error_before_training(audio, broken, args, message):
    for number in range(broken):
        (audio / f"{number}.broken.wav").write_bytes(b"RIFF")
    with pytest.raises(loop.TrainingError, match=message):
        _run(audio, *args)
    assert not (audio.parent / "out" / "audio_model.npz").exists()


@pytest.mark.usefixtures("toy")
@pytest.mark.parametrize(("args", "count"), [((), 3), (("--strict",), 1)])
def test_a_folder_that_disappears_ends_the_run_and_what_was_trained_is_kept(
    audio, monkeypatch, args, count
):
    flac_rate = run.flac_rate

    def remove(valid):
        rate = flac_rate(valid)
        for number in range(5):
            (audio / f"{number}.wav").unlink()
        return rate

    monkeypatch.setattr(run, "flac_rate", remove)
    with pytest.raises(loop.TrainingError, match="cannot be used") as error:
        _run(audio, "--training_steps=5000", *args)
    assert ("--strict" in str(error.value)) == bool(args)
    out = audio.parent / "out"
    assert load_model(out / "audio_model.npz").settings["steps"] < 5000
    assert len(_log(out, "WARNING")) >= count
    assert CheckpointStore(str(out / "audio_model_checkpoints"), keep=1).steps()


def test_skipped_files_are_named(audio):
    (audio / "broken.wav").write_bytes(b"RIFF")
    _, out = _run(audio)
    (warning,) = _log(out, "WARNING")
    assert warning.startswith("1 of 6 files skipped: ") and f"'{audio}/broken.wav' (" in warning


def test_wandb_that_cannot_start_is_one_warning(audio, tmp_path, monkeypatch):
    (tmp_path / "wandb.py").write_text("raise OSError('no network')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result, out = _run(audio, "--wandb_project=p")
    assert result.steps == 3
    assert _log(out, "WARNING") == ["wandb is off for the rest of this run: no network"]


def test_an_interrupted_run_without_validation(audio, capsys, trained):
    trained.append(dataclasses.replace(RESULT, steps=2, valid={}, signal=2))
    _, out = _run(audio, "--valid_fraction=0")
    err = capsys.readouterr().err
    assert "validation       none is held out\n" in err
    table = err[err.index("----") :]
    assert "2 of 3, interrupted; the same command goes on\n" in table
    assert "validation" not in table and "order-0" not in table
    assert load_model(out / "audio_model.npz").settings["steps"] == 2
