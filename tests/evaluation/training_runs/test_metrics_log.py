"""What the metrics of a run say."""

import math

import numpy as np
import pytest

from evaluation.training_runs.metrics_log import last, read_metrics
from runtime.errors import DataError
from tests.evaluation.training_runs.written import metrics_path, write_metrics


def _write(run, *records):
    return write_metrics(run, records)


def test_what_training_writes_is_read_back(tmp_path):
    run = _write(
        tmp_path / "m",
        (0, {"wall_time_s": 0.0, "valid/flac_bits_per_sample": 2.35}),
        (1, {"wall_time_s": 1.5, "train/loss": 3.0}),
        (20, {"wall_time_s": 9.0, "train/loss": math.inf, "train/grad_norm": math.nan}),
    )
    metrics = read_metrics(run)
    assert metrics.keys() == {"valid/flac_bits_per_sample", "train/loss", "train/grad_norm"}
    steps, times, values = metrics["train/loss"]
    assert (steps.tolist(), times.tolist(), values.tolist()) == ([1, 20], [1.5, 9], [3, math.inf])
    assert np.isnan(metrics["train/grad_norm"].values).tolist() == [True]


def test_where_a_step_comes_again_the_later_line_counts(tmp_path):
    run = _write(
        tmp_path / "m",
        *((step, {"wall_time_s": step, "train/loss": 1.0}) for step in (10, 20, 30)),
        *((step, {"wall_time_s": step + 100, "train/loss": 2.0}) for step in (20, 30, 40)),
    )
    steps, times, values = read_metrics(run)["train/loss"]
    assert steps.tolist() == [10, 20, 30, 40]
    assert times.tolist() == [10, 120, 130, 140]
    assert values.tolist() == [1, 2, 2, 2]


@pytest.mark.parametrize(
    "torn",
    [
        b'{"step": 2, "train/lo',
        b'{"step": 2, "tr{"step": 3, "train/loss": 1.0}\n',
        b"\xff\xfe\n",
        b"[1]\n",
        b'{"train/loss": 5.0}\n',
        b'{"step": "2", "train/loss": 5.0}\n',
        b'{"step": 2, "train/loss": "no number"}\n',
        b'{"step": 2, "train/loss": null}\n',
        b"\n",
    ],
)
def test_what_is_no_record_is_passed_over(tmp_path, torn):
    run = _write(tmp_path / "m", (1, {"train/loss": 3.0}))
    with open(metrics_path(run), "ab") as file:
        file.write(torn)
    steps, times, values = read_metrics(run)["train/loss"]
    assert (steps.tolist(), values.tolist()) == ([1], [3.0])
    assert np.isnan(times).all()  # a file of before runs wrote their time


def test_the_last_number_of_a_curve(tmp_path):
    run = _write(
        tmp_path / "m",
        (1, {"train/loss": 3.0, "train/grad_norm": math.nan}),
        (2, {"train/loss": math.inf}),
    )
    metrics = read_metrics(run)
    assert last(metrics, "train/loss") == 3.0
    assert last(metrics, "train/grad_norm") is last(metrics, "valid/loss") is None


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"m_metrics\.jsonl: no such file; expected"):
        read_metrics(tmp_path / "m")


@pytest.mark.parametrize("content", [b"", b"nothing of the kind\n", b'{"step": 1}\n'])
def test_no_metrics_in_it(tmp_path, content):
    run = tmp_path / "m"
    metrics_path(run).write_bytes(content)
    with pytest.raises(DataError, match=r"m_metrics\.jsonl: it holds no metrics; expected"):
        read_metrics(run)
