"""How metrics read on the console."""

import pytest

from training.metrics.console import format_metrics

TRAIN = {
    "train/loss": 3.14159,
    "train/bits_per_sample": 4.5324,
    "train/compression_ratio": 0.5665,
    "train/grad_norm": 1.25,
    "train/learning_rate": 1e-4,
    "train/samples_per_second": 123456.0,
    "train/input_wait_fraction": 0.031,
}


def test_format_metrics():
    assert format_metrics(100, 1000, TRAIN) == (
        "step  100/1000 | loss 3.1416 |  4.5324 bits/sample | ratio 0.5665 | "
        "grad  1.25 | lr 1.00e-04 |  123k samples/s | wait  3%"
    )
    valid = {"valid/loss": 2.0, "valid/bits_per_sample": 2.9, "valid/compression_ratio": 0.36}
    assert format_metrics(7, 10, {**valid, "other": 1.0}) == (
        "step  7/10 | valid loss 2.0000 | valid  2.9000 bits/sample | valid ratio 0.3600"
    )


@pytest.mark.parametrize("value", [0.0, 1e-9, 0.99996, 12.5, 1e5, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["train/grad_norm", "train/learning_rate"])
def test_columns_stay_aligned(name, value):
    def bars(metrics):
        line = format_metrics(1, 10, metrics)
        return [i for i, character in enumerate(line) if character == "|"]

    assert bars({**TRAIN, name: value}) == bars(TRAIN)
