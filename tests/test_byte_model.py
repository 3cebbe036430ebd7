"""A model of bytes: two symbols a sample, and nothing outside this file that knows of them.

B batch, L samples in a chunk.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from commands import train
from commands.run_flag_file import as_flagfile
from evaluation import run as evaluation
from evaluation.config import EvaluationConfig
from evaluation.report.compute_summary import summarize
from evaluation.report.page import write_report
from models.model_file import load_model
from pipeline.wav.encoding import Encoding
from tests.command_line import parsed
from tests.wav_files import write_wav
from training.run import run

CHUNK_SIZE = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteConfig:
    """All that decides what a `ByteModel` computes."""

    kind: str = "bytes"
    depth: int = 16


class ByteModel:
    """Predicts the upper byte of a sample from the last one, and then the lower from the upper."""

    config = ByteConfig()

    def prepare(self, batch):
        symbols = batch["samples"].astype(np.int32) + 2**15
        return {"upper": (symbols >> 8).astype(np.uint8), "lower": (symbols & 255).astype(np.uint8)}

    def init(self, key):
        keys = zip(("upper", "lower"), jax.random.split(key), strict=True)
        return {name: 0.01 * jax.random.normal(key, (256, 256)) for name, key in keys}

    def microbatch_size(self, inputs):
        return 3

    def log_likelihood(self, params, inputs):  # [B, L]
        return -sum(self.cost_parts(params, inputs).values())

    def cost_parts(self, params, inputs):  # [B, L] each
        upper, lower = (inputs[name].astype(jnp.int32) for name in ("upper", "lower"))
        before = jnp.pad(upper[:, :-1], ((0, 0), (1, 0)))  # A chunk begins after a byte 0.
        return {
            "upper byte": -jax.nn.log_softmax(params["upper"])[before, upper],
            "lower byte": -jax.nn.log_softmax(params["lower"])[upper, lower],
        }


def _expected_bits(params, samples):
    """The bits of a file's upper and lower bytes, computed byte by byte in NumPy."""
    log_probs = {}
    for name, logits in params.items():
        logits = np.asarray(logits, np.float64)
        log_probs[name] = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    bits = np.zeros(2)
    for index, sample in enumerate(samples):
        upper, lower = divmod(int(sample) + 2**15, 256)
        before = 0 if index % CHUNK_SIZE == 0 else (int(samples[index - 1]) + 2**15) // 256
        bits -= log_probs["upper"][before, upper], log_probs["lower"][upper, lower]
    return bits / np.log(2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of quiet noise around a slow wave, by name; the last chunk of each is a short one."""
    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(0)
    files = {}
    for number in range(5):
        wave = 2000 * np.sin(np.arange(1000 + number) / 90) + rng.normal(0, 30, 1000 + number)
        files[f"{number}.wav"] = wave.astype(int)
        write_wav(folder / f"{number}.wav", wave.astype(int)[:, np.newaxis], Encoding.S16)
    return folder, files


def test_a_model_of_bytes_is_trained_evaluated_and_reported(files, tmp_path):
    folder, samples = files
    values = parsed(
        f"--audio_dir={folder}",
        f"--output_dir={tmp_path}",
        *("--use_16bit", f"--chunk_size={CHUNK_SIZE}", "--batch_size=8", "--eval_steps=0"),
        *("--training_steps=60", "--warmup_steps=5", "--learning_rate=0.3", "--log_every=20"),
    )
    result = run(train.run_config(values), ByteModel(), as_flagfile(values))
    first = json.loads((tmp_path / "audio_model_metrics.jsonl").read_text().splitlines()[1])
    assert first["train/bits_per_sample"] == pytest.approx(16, abs=0.2)  # Two unknown bytes.
    assert result.valid["valid/bits_per_sample"] < 12

    path = str(tmp_path / "audio_model.npz")
    file = load_model(path)
    assert file.config == {"kind": "bytes", "depth": 16}
    evaluated = evaluation.run(
        EvaluationConfig(model=path, codecs=("flac",)), ByteModel(), file.params, file.data
    )
    expected = np.array([_expected_bits(file.params, samples[name]) for name in evaluated.names])
    np.testing.assert_allclose(evaluated.cost_parts["upper byte"], expected[:, 0], rtol=1e-5)
    np.testing.assert_allclose(evaluated.cost_parts["lower byte"], expected[:, 1], rtol=1e-5)
    np.testing.assert_allclose(evaluated.model_bits, expected.sum(1), rtol=1e-5)
    num_samples = sum(len(samples[name]) for name in evaluated.names)
    bits_per_sample = expected.sum() / num_samples
    assert result.valid["valid/samples"] == num_samples
    assert result.valid["valid/bits_per_sample"] == pytest.approx(bits_per_sample, rel=1e-5)

    write_report(summarize(evaluated), tmp_path)
    parts = json.loads((tmp_path / "report.json").read_text())["cost_parts"]
    for name, bits in zip(("upper byte", "lower byte"), expected.sum(0), strict=True):
        assert parts[name]["bits_per_sample"] == pytest.approx(bits / num_samples, rel=1e-5)
    page = (tmp_path / "report.html").read_text()
    assert "upper byte" in page and "lower byte" in page
