"""The table of the compression benchmark."""

from benchmarks.compression import columns_of, format_markdown, parse_baselines

BASELINES = """# What others need

Bytes, and bits per sample.

| excerpt | samples | Sac --high | Sac | Sac high |
|---|---|---|---|---|
| piano | 500,000 | 114,117 | 1.898 | 1.826 |
| speech | 500,000 | 541,690 | 8.781 | 8.667 |
| mean | | | 5.340 | 5.246 |

Something else.

| piece | Sac |
|---|---|
| song | 3.000 |
"""


def test_baselines_are_the_columns_with_fractions():
    assert parse_baselines(BASELINES) == {
        "Sac": {"piano": 1.898, "speech": 8.781, "mean": 5.34},
        "Sac high": {"piano": 1.826, "speech": 8.667, "mean": 5.246},
    }
    assert parse_baselines("") == {}


def test_the_table():
    report = {
        "names": ["piano.wav", "speech.wav"],
        "coders": [
            {"name": "the model", "cost": {"per_file": [1.8, 8.6]}},
            {"name": "FLAC -8", "cost": {"per_file": [2.6, 9.5]}},
            {"name": "order-0 entropy", "cost": {"per_file": []}},
        ],
    }
    columns = columns_of(report, ["FLAC -8", "the model"])
    assert list(columns["FLAC -8"]) == ["piano", "speech"]
    partial = {"other": {"piano": 2.0}}
    ours = columns.pop("the model")
    table = format_markdown({**columns, **partial, "the model": ours}, "the model")
    assert table.splitlines() == [
        "| excerpt | FLAC -8 | other | the model |",
        "| --- | ---: | ---: | ---: |",
        "| piano | 2.600 | 2.000 | 1.800 |",
        "| speech | 9.500 |  | 8.600 |",
        "| mean | 6.050 |  | 5.200 |",
        "| the model, relative | -14.05% |  | +0.00% |",
    ]
