"""Which files are evaluated, and what is said of them."""

import dataclasses
import logging
import os

import pytest
import tensorflow as tf

from evaluation.config import EvaluationConfig
from evaluation.results import Evaluation
from evaluation.run import run
from pipeline.config import PipelineConfig
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from tests.evaluation.test_score import Uniform
from tests.wav_files import random_frames, write_wav

PIPELINE = PipelineConfig(chunk_size=64, batch_size=4)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "own"
    path.mkdir()
    for number in range(10):
        write_wav(path / f"{number}.wav", random_frames(Encoding.U8, 90, 1), Encoding.U8)
    return path


@pytest.fixture
def evaluate(folder, tmp_path, caplog):
    """Evaluates a model that was trained on the folder."""
    model = tmp_path / "m.npz"
    model.write_bytes(bytes(500))
    data = {
        "audio_dirs": [os.fspath(folder)],
        "valid_fraction": 0.4,
        "pipeline": dataclasses.asdict(PIPELINE),
    }
    caplog.set_level(logging.INFO)

    def evaluate(
        *folders, model=model, on_prepare=lambda batch: None, training=None, **fields
    ) -> Evaluation:
        config = EvaluationConfig(
            model=os.fspath(model), audio_dirs=tuple(map(os.fspath, folders)), codecs=(), **fields
        )
        return run(config, Uniform(on_prepare=on_prepare), {}, data, training=training)

    return evaluate


def test_the_models_own_folders_and_held_out_files_are_the_default(evaluate, folder, caplog):
    valid = evaluate()
    assert valid.bits_per_sample == pytest.approx(8)
    assert (valid.settings["split"], valid.settings["folders"]) == ("valid", [os.fspath(folder)])
    train, every = evaluate(split="train"), evaluate(folder / ".." / "own", split="all")
    assert 0 < len(valid.names) < 10
    assert sorted((*valid.names, *train.names)) == list(every.names)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(" are in")[0] for text in warnings] == [
        f"{len(train.names)} of these {len(train.names)} files",
        f"{len(train.names)} of these 10 files",
    ]


def test_what_is_told_of_the_training(evaluate):
    settings = evaluate().settings
    assert settings["trained steps"] is None and "initial model" not in settings
    initial = {"name": "best", "fingerprint": "46"}
    settings = evaluate(training={"steps": 7, "init_from": initial}).settings
    assert (settings["trained steps"], settings["initial model"]) == (7, "best (46)")


def test_all_of_other_folders_is_the_default(evaluate, tmp_path, caplog):
    write_wav(tmp_path / "other.wav", random_frames(Encoding.U8, 90, 1), Encoding.U8)
    other = evaluate(tmp_path / "other.wav")
    assert (other.names, other.settings["split"]) == (("other.wav",), "all")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_part_of_a_training_folder_is_recognised(evaluate, folder, caplog):
    name = evaluate(folder, split="train").names[0]
    caplog.clear()
    evaluate(folder / name, split="all")
    assert "1 of these 1 files are in the model's training split" in caplog.text


def test_the_model_file_is_counted_wherever_it_lies(evaluate):
    with tf.io.gfile.GFile("ram://counted.npz", "wb") as file:
        file.write(bytes(700))
    assert evaluate(eval_files=1).model_bytes == 500
    assert evaluate(eval_files=1, model="ram://counted.npz").model_bytes == 700


def test_a_catalogue_in_place_of_a_look_at_the_folders(evaluate, folder, tmp_path):
    path = str(tmp_path / "c.catalogue")
    made = evaluate(split="all", catalogue=path)
    write_wav(folder / "new.wav", random_frames(Encoding.S16, 45, 1), Encoding.S16)
    assert evaluate(split="all", catalogue=path).names == made.names


def test_some_of_the_files(evaluate):
    assert len(evaluate(split="all", eval_files=3).names) == 3


def test_a_file_that_is_none_is_named(evaluate, folder, caplog):
    (folder / "broken.wav").write_bytes(b"RIFF")
    result = evaluate(split="all")
    assert [os.path.basename(path) for path, _ in result.skipped] == ["broken.wav"]
    assert len(result.names) == 10
    assert "1 of 11 files skipped: " in caplog.text


def test_a_file_that_is_used_although_it_is_cut_off_is_named(evaluate, folder, caplog):
    assert evaluate(split="all").noted == ()
    for number in (3, 7):
        os.truncate(folder / f"{number}.wav", (folder / f"{number}.wav").stat().st_size - 10)
    found = evaluate(split="all")
    note = "truncated: 80 of 90 bytes of samples are there"
    assert found.noted == ((f"{folder}/3.wav", note), (f"{folder}/7.wav", note))
    warning = f"2: '{folder}/3.wav' and 1 more ({note})"
    assert caplog.messages.count(f"warnings         {warning}") == 1


def test_equal_names_are_told_apart_by_their_folders(evaluate, folder, tmp_path):
    for speaker in ("one", "two"):
        (tmp_path / speaker / "takes").mkdir(parents=True)
        for name in ("a.wav", f"{speaker}.wav"):
            path = tmp_path / speaker / "takes" / name
            write_wav(path, random_frames(Encoding.U8, 90, 1), Encoding.U8)
    found = evaluate(tmp_path / "one" / "takes", tmp_path / "two" / "takes")
    assert found.names == ("one/takes/a.wav", "one.wav", "two/takes/a.wav", "two.wav")


@pytest.mark.parametrize(
    ("broken", "fields", "message"),
    [
        (1, {"strict": True}, r"0\.broken\.wav' cannot be used \(.*\), and --strict allows no"),
        (11, {}, r"11 of 21 files cannot be used, more than --max_skipped_fraction=0\.5: "),
        (2, {"max_skipped_fraction": 0.1}, "2 of 12 files cannot be used, more than"),
    ],
)
def test_too_many_skipped_files_are_an_error_before_the_work(
    evaluate, folder, broken, fields, message
):
    for number in range(broken):
        (folder / f"{number}.broken.wav").write_bytes(b"RIFF")
    batches: list = []
    with pytest.raises(DataError, match=message):
        evaluate(**fields, on_prepare=batches.append)
    assert not batches


@pytest.fixture
def without(evaluate, folder, tmp_path):
    """Evaluates all files of a catalogue, some of which have been removed since it was made."""

    def without(*numbers, **fields):
        catalogue = str(tmp_path / "c.catalogue")
        evaluate(split="all", catalogue=catalogue)
        for number in numbers:
            (folder / f"{number}.wav").unlink()
        return evaluate(split="all", catalogue=catalogue, **fields)

    return without


def test_a_file_that_vanishes_is_named_and_left_out(without, caplog):
    result = without(3)
    assert [os.path.basename(path) for path, _ in result.skipped] == ["3.wav"]
    assert len(result.names) == 9
    assert caplog.text.count("3.wav' skipped, it can no longer be read: No such file") == 1


@pytest.mark.parametrize(
    ("numbers", "fields", "message"),
    [
        ([3], {"strict": True}, r"3\.wav' cannot be used \(No such .*\), and --strict allows no"),
        (range(6), {}, r"6 of 10 files cannot be used, more than --max_skipped_fraction=0\.5"),
    ],
)
def test_too_many_files_that_vanish_are_an_error(without, numbers, fields, message):
    with pytest.raises(DataError, match=message):
        without(*numbers, **fields)


def test_a_folder_for_the_report_that_cannot_be_made_is_warning_before_the_work(evaluate, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"--report_dir=.*file/report is below a file"):
        evaluate(report_dir=os.fspath(tmp_path / "file" / "report"))


def test_a_folder_for_the_report_that_cannot_be_written_is_too(evaluate, tmp_path, monkeypatch):
    batches: list = []
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError, match=r"--report_dir=.* is not writable"):
        evaluate(report_dir=os.fspath(tmp_path), on_prepare=batches.append)
    assert not batches


@pytest.mark.parametrize("split", ["valid", "train"])
def test_a_part_of_the_training_folder_keeps_its_sides(evaluate, folder, split, caplog):
    (folder / "part").mkdir()
    for number in range(12):
        write_wav(folder / "part" / f"{number}.wav", random_frames(Encoding.U8, 9, 1), Encoding.U8)
    whole = {os.path.basename(n) for n in evaluate(split=split).names if n.startswith("part/")}
    caplog.clear()
    assert set(evaluate(folder / "part", split=split).names) == whole
    assert "not in the folders" not in caplog.text


def test_a_corpus_that_moved(evaluate, folder, caplog):
    expected = evaluate().names
    moved = folder.rename(folder.parent / "moved")
    with pytest.raises(FileNotFoundError, match=r"own, which .* --audio_dir=FOLDER --split=valid"):
        evaluate()
    assert evaluate(moved, split="valid").names == expected
    assert "10 of 10 files are not in the folders that the model was trained on" in caplog.text


def test_an_empty_split_is_an_error_that_says_what_to_do(evaluate, tmp_path):
    (tmp_path / "one").mkdir()
    write_wav(tmp_path / "one" / "x.wav", random_frames(Encoding.U8, 1, 1), Encoding.U8)
    with pytest.raises(DataError, match=r"split 'valid' has no file: .* expected --split=all"):
        evaluate(tmp_path / "one", split="valid")
