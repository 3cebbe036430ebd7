"""The whole path: WAV files in, a model file out."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import tensorflow as tf

from commands import train
from commands.run_flag_file import as_flagfile
from models.build import build_model
from models.model_file import load_model
from pipeline.config import PipelineConfig
from pipeline.corpus import open_corpus
from pipeline.dataset import make_dataset
from pipeline.wav.encoding import Encoding
from tests.command_line import ROOT, TINY, parsed, run_main
from tests.wav_files import write_wav
from training.result import Result
from training.run import run

SCHEDULE = ("--training_steps=7", "--log_every=3", "--eval_every=5", "--learning_rate=0.01")


@dataclasses.dataclass
class Run:
    """A finished run."""

    result: Result
    out: pathlib.Path

    @property
    def metrics(self) -> list[dict[str, float]]:
        return _metrics(self.out)


def _metrics(out, name="metrics"):
    (path,) = out.glob(f"*_{name}.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Tones with noise: mono and stereo, 8, 16 and 24 bits, and a file that is none."""
    folder = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    formats = [
        (Encoding.S16, 2**15, 0, 1),
        (Encoding.S16, 2**15, 0, 2),
        (Encoding.S24, 2**23, 0, 2),
        (Encoding.U8, 2**7, 2**7, 1),
        (Encoding.F32, 1, 0, 1),
    ]
    for number, (encoding, scale, middle, channels) in enumerate(formats):
        time_axis = np.arange(1000 + number)[:, np.newaxis]
        wave = 0.5 * np.sin(time_axis / (7 + number + np.arange(channels)))
        frames = middle + scale * (wave + rng.normal(0, 0.01, (len(time_axis), channels)))
        if not encoding.is_float:
            frames = frames.astype(int)
        write_wav(folder / f"{number}.wav", frames, encoding)
    (folder / "broken.wav").write_bytes(b"RIFF")
    return folder


def _run(out, *args):
    values = parsed(*args, f"--output_dir={out}")
    model = build_model(train.make_model_config(values))
    return Run(run(train.run_config(values), model, as_flagfile(values)), out)


def _train(audio, out, *args):
    return _run(out, f"--audio_dir={audio}", *TINY, *SCHEDULE, *args)


@pytest.fixture(scope="module")
def finished(audio, tmp_path_factory):
    return _train(audio, tmp_path_factory.mktemp("finished"), "--model_name=tones")


@pytest.mark.both_stacks
def test_every_record_is_the_same(finished):
    flac, *metrics = finished.metrics
    assert flac["step"] == 0
    assert [(line["step"], "train/loss" in line) for line in metrics] == [
        (1, True),
        (3, True),
        (5, False),
        (6, True),
        (7, True),
        (7, False),
    ]
    timing = _metrics(finished.out, "timing")
    # The last line has the time of the whole run.
    assert [line["step"] for line in timing] == [0, *(line["step"] for line in metrics), 7]
    wall_time_s = [line["wall_time_s"] for line in timing]
    assert wall_time_s == sorted(wall_time_s)
    assert 0 < wall_time_s[-2] <= wall_time_s[-1] == finished.result.wall_time_s
    assert {**metrics[-2], **metrics[-1], **timing[-3], **timing[-2]} == {
        "step": 7,
        "wall_time_s": wall_time_s[-2],
        **finished.result.train,
        **finished.result.valid,
    }
    log = (finished.out / "tones_training.log").read_text()
    for line in metrics:
        split = "train" if "train/loss" in line else "valid"
        bits = line[f"{split}/bits_per_sample"]
        assert re.search(rf"step {line['step']}/7 .* {bits:.4f} bits/sample", log)
    assert f"FLAC -8          {flac['valid/flac_bits_per_sample']:.4f} bits per sample" in log
    points = [
        (line["step"], name, value)
        for line in (*finished.metrics, *timing)
        for name, value in line.items()
        if name != "step"
    ]
    for found, expected in zip(sorted(_tensorboard(finished.out)), sorted(points), strict=True):
        assert found == (*expected[:2], pytest.approx(expected[2], rel=1e-6))


def _tensorboard(out):
    (path,) = (out / "tensorboard" / "tones").iterdir()
    points = []
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(record)
        for value in event.summary.value:
            points.append((event.step, value.tag, float(tf.make_ndarray(value.tensor))))
    return points


@pytest.mark.both_stacks
def test_it_learns(finished):
    assert finished.metrics[-1]["valid/loss"] < finished.metrics[3]["valid/loss"]


@pytest.mark.both_stacks
def test_the_loaded_model_computes_the_same_bits(finished, audio):
    file = load_model(finished.out / "tones.npz")
    jax.tree.map(np.testing.assert_array_equal, file.params, finished.result.params)
    pipeline = PipelineConfig(**file.data["pipeline"])
    corpus = open_corpus(
        file.data["audio_dirs"], pipeline, valid_fraction=file.data["valid_fraction"]
    )
    (batch,) = make_dataset(corpus.valid).take(1).as_numpy_iterator()
    model = file.build()
    file.check_params(model)
    inputs = model.prepare({name: array[0] for name, array in batch.items()})

    @jax.jit
    def log_likelihood(params):
        return model.log_likelihood(params, inputs)

    expected = log_likelihood(finished.result.params)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(log_likelihood(file.params), expected)


@pytest.mark.both_stacks
def test_the_evaluation_agrees_with_the_last_validation(finished, tmp_path, capsys):
    report = f"--report_dir={tmp_path}"
    assert run_main("evaluate", f"--model={finished.out}/tones.npz", "--codecs=flac", report) == 0
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "report.json").read_text())
    expected = finished.result.valid
    assert sum(found["samples"]) == expected["valid/samples"]
    bits = {coder["name"]: coder["cost"]["bits_per_sample"] for coder in found["coders"]}
    model, order0, flac = bits["the model"], bits["order-0 entropy"], bits["FLAC -8"]
    assert model == pytest.approx(expected["valid/bits_per_sample"], rel=1e-5)
    assert order0 == pytest.approx(expected["valid/order0_bits_per_sample"], rel=1e-9)
    assert flac == pytest.approx(finished.metrics[0]["valid/flac_bits_per_sample"])
    assert f"{model:.3f}" in printed and f"{flac:.3f}" in printed


def test_the_flagfile_repeats_the_run(finished, tmp_path):
    _run(tmp_path, f"--flagfile={finished.out}/tones.flags")
    assert (tmp_path / "tones_metrics.jsonl").read_bytes() == (
        finished.out / "tones_metrics.jsonl"
    ).read_bytes()


@pytest.mark.slow
def test_16_bits_of_all_channels(finished, audio, tmp_path):
    stereo = _train(audio, tmp_path, "--use_16bit", "--nodownmix", "--stereo_blocking_n=32")
    valid = stereo.result.valid
    assert 0 < valid["valid/bits_per_sample"] < 16
    assert valid["valid/compression_ratio"] == pytest.approx(valid["valid/bits_per_sample"] / 16)
    assert load_model(tmp_path / "audio_model.npz").config["depth"] == 16
    assert (_samples(finished.out, "tones"), _samples(tmp_path)) == (5010, 5010 + 1001 + 1002)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_adaptive_predictors_of_24_bits(audio, tmp_path, network):
    """Files of any depth and any channels; trained, gone on with, and evaluated."""
    out, default = tmp_path / "out", ("--embedding_dim=64", "--num_heads=8", "--num_layers=4")
    args = ["--predictors=adaptive", f"--network={network}", "--bit_depth=24", "--nodownmix"]
    args += ["--chunk_size=128", "--stereo_blocking_n=32"]
    args += (*default, "--widening_factor=4") if network == "mlp" else ()
    first = _train(audio, out, *args)
    more = _train(audio, out, *args, "--training_steps=12")
    assert more.result.steps == 12 and first.result.steps == 7
    assert [line["step"] for line in more.metrics if "train/loss" in line][-1] == 12
    valid = more.result.valid
    assert valid["valid/compression_ratio"] == pytest.approx(valid["valid/bits_per_sample"] / 24)
    report = f"--report_dir={tmp_path}/report"
    assert run_main("evaluate", f"--model={out}/audio_model.npz", "--codecs=flac", report) == 0
    found = json.loads((tmp_path / "report" / "report.json").read_text())
    bits = {coder["name"]: coder["cost"]["bits_per_sample"] for coder in found["coders"]}
    assert found["depth"] == 24 and 0 < bits["FLAC -8"] < 24
    if network == "mlp":  # Its segments are longer than chunks: it knows more.
        assert bits["the model"] < valid["valid/bits_per_sample"]
    else:
        assert bits["the model"] == pytest.approx(valid["valid/bits_per_sample"], rel=1e-5)


def _samples(out, model_name="audio_model"):
    """How many samples both splits have together."""
    log = (out / f"{model_name}_training.log").read_text()
    return sum(int(n.replace(",", "")) for n in re.findall(r"chunks?, ([\d,]+) samples", log))


def _command(*args):
    return [sys.executable, str(ROOT / "main.py"), *map(str, args)]


@pytest.mark.slow
@pytest.mark.both_stacks
def test_four_devices_give_the_losses_of_one(finished, tmp_path):
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    args = f"--flagfile={finished.out}/tones.flags", f"--output_dir={tmp_path}"
    done = subprocess.run(
        _command(*args), env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "4 x cpu, 1 chunk each" in done.stderr
    assert "1 of 6 files skipped, see above" in done.stderr
    assert _metrics(tmp_path) == [
        {name: pytest.approx(value, rel=2e-5) for name, value in line.items()}
        for line in finished.metrics
    ]


@pytest.mark.slow
def test_ctrl_c_saves_what_was_trained(audio, tmp_path):
    args = *TINY, "--training_steps=1000000", "--log_every=5"
    as_a_user = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    process = subprocess.Popen(
        _command(f"--audio_dir={audio}", f"--output_dir={tmp_path}", *args),
        env=as_a_user,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "audio_model_metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.exists() and metrics.read_text().count("\n") > 2):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=100)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "SIGINT: finishing this step, then saving; again to stop at once" in err
    last = [line for line in _metrics(tmp_path) if "train/loss" in line][-1]
    model = load_model(tmp_path / "audio_model.npz")
    # Steps since the last line are trained, and not written: they come in a line once more.
    assert model.training["steps"] >= last["step"] >= 5
    steps = f"{model.training['steps']:,} of 1,000,000"
    assert f"{steps}, interrupted; the same command resumes it" in err
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(model.params))


def test_one_file_shorter_than_a_chunk(tmp_path):
    tone = np.sin(np.arange(40) / 9)[:, np.newaxis]
    write_wav(tmp_path / "one.wav", (9999 * tone).astype(int), Encoding.S16)
    done = _train(tmp_path / "one.wav", tmp_path / "out")
    assert done.result.valid["valid/samples"] == 8
    assert _samples(done.out) == 40
