"""Runs beside each other."""

import pytest
from PIL import Image

from evaluation.training_runs.compare import compare, format_comparison, write_comparison
from evaluation.training_runs.run_dir import FLAC, TRAIN, VALID
from runtime.errors import DataError
from tests.evaluation.training_runs.written import write_run


def _records(valid, flac=2.5):
    return [
        (0, {"wall_time_s": 0.0, FLAC: flac}),
        (100, {"wall_time_s": 60.0, TRAIN: valid}),
        (100, {"wall_time_s": 61.0, VALID: valid + 0.25}),
        (200, {"wall_time_s": 3725.0, TRAIN: valid - 0.25}),
        (200, {"wall_time_s": 3726.0, VALID: valid}),
    ]


@pytest.fixture
def two_runs(tmp_path):
    flags = "--output_dir=/{0}\n--learning_rate={1}\n--seed=1\n--eval_steps=0\n--batch_size={1}\n"
    return [
        write_run(tmp_path / "_a$x$", flags=flags.format("a", 8), records=_records(2.25)),
        write_run(tmp_path / "b", flags=flags.format("b", 9) + "--demo\n", records=_records(3.0)),
    ]


def test_settings_that_differ(two_runs):
    comparison = compare(two_runs)
    assert comparison.settings == {
        "batch_size": ("8", "9"),
        "demo": (None, "true"),
        "learning_rate": ("8", "9"),
    }
    # The whole split is validated, so batches do not matter.
    assert comparison.validation_settings == ("demo",)


def test_the_best_run_is_marked_where_all_validate_on_the_same_samples(tmp_path, two_runs):
    runs = [
        write_run(tmp_path / str(bits), flags="--seed=1\n", records=_records(bits))
        for bits in (2.5, 2.25, 3.0)
    ]
    text = format_comparison(compare(runs))
    [marked] = [line.split() for line in text.splitlines() if line.startswith("> ")]
    assert marked[1] == "2" and marked[2].endswith("/2.25")
    assert "The marked line has the best one of all." in " ".join(text.split())
    for others in (two_runs, runs[:1]):
        assert ">" not in format_comparison(compare(others))


def test_batches_matter_where_a_part_of_the_split_is_validated(tmp_path):
    runs = [
        write_run(tmp_path / size, flags=f"--eval_steps=5\n--batch_size={size}\n")
        for size in ("8", "16")
    ]
    assert compare(runs).validation_settings == ("batch_size",)


def test_the_table(two_runs):
    text = format_comparison(compare(two_runs))
    lines = text.splitlines()
    header = "run steps time train valid best FLAC -8 vs FLAC model"
    assert " ".join(lines[0].split()) == header
    minus, dash = "\N{MINUS SIGN}", "\N{EN DASH}"
    figures = ["200", "1:02:06", "2.0000", "2.2500", "2.2500", "2.5000", f"{minus}10.0%", dash]
    assert lines[2].split()[0] == "1" and lines[2].split()[-8:] == figures
    assert lines[2].split()[1].endswith("_a$x$") and lines[3].split()[1].endswith("/b")
    assert lines[3].split()[-2] == "+20.0%"
    assert "on different samples (--demo)" in text
    rows = [line.split() for line in lines[lines.index("settings that differ") + 1 :]]
    assert rows == [
        ["1", "2"],
        ["batch_size", "8", "9"],
        ["demo", dash, "true"],
        ["learning_rate", "8", "9"],
    ]


def test_one_run_is_fine(two_runs):
    comparison = compare(two_runs[:1])
    text = format_comparison(comparison)
    assert comparison.settings == {} and "settings" not in text and "different samples" not in text


def test_runs_that_are_alike(two_runs):
    assert "all settings are equal" in format_comparison(compare([two_runs[0], two_runs[0]]))


def test_many_runs_with_long_names_fit_the_console(tmp_path):
    runs = [
        write_run(
            tmp_path / ("a_long_name_of_a_folder_" * 3 + str(i)),
            flags=f"--audio_dir=/{'a_long_path/' * 20}{i}\n",
            records=_records(2.5 + i),
        )
        for i in range(12)
    ]
    lines = format_comparison(compare(runs)).splitlines()
    assert max(map(len, lines)) <= 100
    shown = " ".join(line for line in lines if line.startswith("audio_dir")).split()
    assert [value[-2:] for value in shown if value != "audio_dir"] == [
        f"/{i}"[-2:] for i in range(12)
    ]


def test_the_picture_is_written_into_a_new_folder(two_runs, tmp_path):
    path = write_comparison(compare(two_runs), tmp_path / "new" / "folder")
    assert path == str(tmp_path / "new" / "folder" / "compare.png")
    with Image.open(path) as image:
        assert image.format == "PNG"


def test_what_is_no_run_is_named_and_the_others_are_compared(two_runs, tmp_path, caplog):
    none = [tmp_path / "missing", tmp_path / "empty"]
    none[1].mkdir()
    comparison = compare([none[0], two_runs[0], none[1], two_runs[1]])
    assert [run.name for run in comparison.runs] == [str(run) for run in two_runs]
    assert comparison.settings == compare(two_runs).settings
    assert [text.split(":")[:2] for text in caplog.messages] == [
        ["skipped", f" {path}"] for path in none
    ]
    assert [problem.split(":")[0] for problem in comparison.problems] == list(map(str, none))
    caplog.clear()
    with pytest.raises(DataError, match=r"missing: no such folder.*; .*: no run in it"):
        compare(none)
    assert not caplog.messages


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00\xff\n",
        b'{"step": 99999999999999999999, "train/bits_per_sample": 3}\n',
        b'{"step": 1, "train/bits_per_sample": 1%b}\n' % (b"0" * 400),
        b"[" * 100_000,
        b'{"step": 1, "valid/flac_bits_per_sample": 2.5}\n',
        None,
    ],
)
def test_a_run_whose_metrics_are_broken_or_not_there_yet_is_skipped(two_runs, line, caplog):
    path = two_runs[0] / "audio_model_metrics.jsonl"
    path.unlink() if line is None else path.write_bytes(line)
    comparison = compare(two_runs)
    assert [run.name for run in comparison.runs] == [str(two_runs[1])]
    assert len(caplog.messages) == 1 and str(two_runs[0]) in caplog.text


def test_the_same_network_is_no_difference_though_one_run_names_it(tmp_path):
    runs = [
        write_run(tmp_path / str(number), flags=flags)
        for number, flags in enumerate(
            ["--predictors=adaptive\n", "--predictors=adaptive\n--network=mlp\n"]
        )
    ]
    assert not compare(runs).settings
    runs.append(write_run(tmp_path / "2", flags="--predictors=fixed\n"))
    assert compare(runs).settings["network"] == ("mlp", "mlp", "transformer")
