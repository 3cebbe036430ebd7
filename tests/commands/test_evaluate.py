"""From flags to an evaluation."""

import errno
import sys
import types

import pytest

from commands import evaluate
from commands.evaluate import evaluation_config
from evaluation.config import EvaluationConfig
from tests.command_line import error_of, parsed
from tests.evaluation.report.made_up import evaluation


def test_each_flag_reaches_its_field():
    values = parsed(
        "evaluate",
        "--model=/m.npz",
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
        model="/m.npz",
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
    assert evaluation_config(parsed("evaluate", "--model=/m", *args)).codecs == codecs


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("/no/such.npz", "/no/such.npz: no such model file"),
        (__file__, "not a model file: expected the .npz that training"),
    ],
)
def test_a_file_that_is_no_model(capsys, model, message):
    assert message in error_of(capsys, "evaluate", f"--model={model}")


@pytest.fixture
def evaluated(monkeypatch, tmp_path):
    """Runs `evaluate`, of a model and results that are made up, with a report in `tmp_path`."""
    model = types.SimpleNamespace(
        build=lambda platform: None,
        check_params=lambda model: None,
        params={},
        data={},
        training={},
    )
    monkeypatch.setattr("models.model_file.load_model", lambda path: model)
    monkeypatch.setattr("evaluation.run.run", lambda *args, **kwargs: evaluation(2))
    # Settings of the process, which other tests share.
    for name in (
        *("runtime.devices.share_cores", "runtime.devices.keep_tensorflow_off_accelerators"),
        *("runtime.logging.start_logging", "runtime.compilation_cache.enable"),
    ):
        monkeypatch.setattr(name, lambda *args: None)
    values = parsed("evaluate", f"--report_dir={tmp_path}")
    return lambda: evaluate.run(values, ())


def test_the_report_is_written_though_nobody_reads_the_table(evaluated, monkeypatch, tmp_path):
    class Gone:
        def write(self, text):
            raise BrokenPipeError

        def isatty(self):
            return False

    monkeypatch.setattr(sys, "stdout", Gone())
    with pytest.raises(BrokenPipeError):
        evaluated()
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "report.json"}


def test_the_table_is_printed_though_the_report_fails(evaluated, monkeypatch, capsys):
    def fail(*args):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr("evaluation.report.page.write_bytes_atomically", fail)
    with pytest.raises(OSError, match="no space left"):
        evaluated()
    assert "> the model" in capsys.readouterr().out
