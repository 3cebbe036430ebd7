"""Runs are read from their folders."""

import pytest

from evaluation.training_runs.run_dir import TRAIN, VALID, find_runs, parse_flags, read_run
from runtime.errors import DataError
from tests.evaluation.training_runs.written import write_model, write_run


def test_a_run(tmp_path):
    folder = write_run(
        tmp_path / "run",
        records=(
            (0, {"wall_time_s": 0.0, "valid/flac_bits_per_sample": 2.6}),
            (10, {"wall_time_s": 5.0, TRAIN: 3.0}),
            (10, {"wall_time_s": 6.0, VALID: 2.5}),
            (20, {"wall_time_s": 9.0, TRAIN: 2.0}),
            (20, {"wall_time_s": 11.5, VALID: 2.75}),
            (21, {"wall_time_s": 13.0}),  # Of the end, with the last checkpoint.
        ),
    )
    write_model(folder, "audio_model", {})
    run = read_run(f"{folder}/")
    assert run.name == str(folder)
    assert run.settings == {"seed": "1"}
    assert (run.steps, run.wall_time_s) == (20, 13.0)
    assert (run.last(TRAIN), run.last(VALID), run.best_valid) == (2.0, 2.75, 2.5)
    assert run.model_bytes == (folder / "audio_model.npz").stat().st_size


def test_a_run_that_goes_on_has_no_model_yet(tmp_path):
    run = read_run(str(write_run(tmp_path / "run")))
    assert run.model_bytes is run.best_valid is run.wall_time_s is None


def test_flags():
    text = (
        "# a comment\n--name=a=b\n--audio_dir=/a\n--audio_dir=/b\n--downmix\n--nouse_16bit\n--x=\n"
    )
    assert parse_flags(text.splitlines()) == {
        "name": "a=b",
        "audio_dir": "/a, /b",
        "downmix": "true",
        "use_16bit": "false",
        "x": "",
    }


def test_runs_below_a_folder_are_found(tmp_path):
    for name in ("b", "a"):
        write_run(tmp_path / name)
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    assert find_runs(str(tmp_path)) == [str(tmp_path / "a"), str(tmp_path / "b")]
    for path in ("a", "a/audio_model", "empty", "none"):
        assert find_runs(str(tmp_path / path)) == [str(tmp_path / path)]


def test_of_several_runs_in_a_folder_one_is_named(tmp_path):
    folder = write_run(tmp_path, "one", "--seed=1\n", [(5, {TRAIN: 3.125})])
    write_run(tmp_path, "two", "--seed=2\n", [(7, {TRAIN: 2.0625})])
    one, two = (read_run(str(folder / model)) for model in ("one", "two"))
    assert (one.steps, one.last(TRAIN), one.settings) == (5, 3.125, {"seed": "1"})
    assert (two.steps, two.last(TRAIN), two.settings) == (7, 2.0625, {"seed": "2"})
    assert two.name == str(folder / "two")
    with pytest.raises(DataError, match=r"several runs; expected one of .*/one, .*/two$"):
        read_run(str(folder))


def test_what_is_no_run(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"gone: no such folder, and no such file gone\.flags"
    ):
        read_run(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError, match=r"no run in it; expected the --output"):
        read_run(str(tmp_path))
    (tmp_path / "m.flags").write_text("--seed=1\n")
    with pytest.raises(FileNotFoundError, match=r"m_metrics\.jsonl: no such file; expected"):
        read_run(str(tmp_path))
    write_run(tmp_path, "m", records=[(0, {"valid/flac_bits_per_sample": 2.0})])
    with pytest.raises(DataError, match="its metrics hold no 'train/bits_per_sample' yet"):
        read_run(str(tmp_path))
