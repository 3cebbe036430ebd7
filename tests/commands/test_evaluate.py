"""From flags to an evaluation."""

import pytest

from commands.evaluate import evaluation_config
from evaluation.config import EvaluationConfig
from tests.command_line import error_of, parsed


def test_each_flag_reaches_its_field():
    values = parsed(
        "evaluate",
        "--model=m.npz",
        "--audio_dir=a,b",
        "--catalogue=/c",
        "--split=train",
        "--eval_files=4",
        "--batch_size=3",
        "--codecs=flac,xz",
        "--chunked",
        "--segment=5000",
        "--strict",
        "--max_skipped_fraction=0.25",
        "--report_dir=r",
    )
    assert evaluation_config(values) == EvaluationConfig(
        model="m.npz",
        audio_dirs=("a", "b"),
        catalogue="/c",
        split="train",
        eval_files=4,
        batch_size=3,
        codecs=("flac", "xz"),
        chunked=True,
        segment=5000,
        strict=True,
        max_skipped_fraction=0.25,
        report_dir="r",
    )


@pytest.mark.parametrize(("args", "codecs"), [((), None), (("--codecs=",), ())])
def test_no_codecs_are_not_all_codecs(args, codecs):
    assert evaluation_config(parsed("evaluate", "--model=m", *args)).codecs == codecs


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("/no/such.npz", "/no/such.npz: no such model file"),
        (__file__, "not a model file: expected the .npz that training"),
    ],
)
def test_a_file_that_is_no_model(capsys, model, message):
    assert message in error_of(capsys, "evaluate", f"--model={model}")
