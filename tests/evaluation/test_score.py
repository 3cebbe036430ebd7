"""The figure that everything else hangs on. L chunk size."""

import dataclasses
import functools
import json
import math
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evaluation.aggregate import Aggregator, Rows
from evaluation.score import evaluate
from models.build import build_model
from models.config import ModelConfig, TransformerConfig
from models.interface import Model
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.dataset import make_dataset
from pipeline.reading.chunk_index import Chunks
from pipeline.reading.read_samples import read_samples
from pipeline.wav.encoding import Encoding
from runtime.errors import DataError
from runtime.parallel import unreplicate
from tests.command_line import ROOT
from tests.toy_model import Unigram
from tests.wav_files import write_wav
from training.config import TrainingConfig
from training.control.control_flags import ControlFlagReducer
from training.device_batches import device_batch
from training.state import init_state
from training.step import make_eval_step, make_train_step
from training.validation import validate

CONFIG = PipelineConfig(chunk_size=32, batch_size=4, stereo_blocking_n=8)
NETWORK = TransformerConfig(embedding_dim=8, num_heads=1, num_layers=1, widening_factor=1)


@functools.cache
def model(depth: int = 8) -> tuple[Model, Any]:
    model = build_model(ModelConfig(depth=depth, network=NETWORK))
    params = model.init(jax.random.key(0))
    noise = functools.partial(jax.random.normal, jax.random.key(1))
    return model, jax.tree.map(lambda x: x + 0.1 * noise(x.shape), params)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files whose last chunks are short, one shorter than a chunk, one stereo."""
    path = tmp_path_factory.mktemp("audio")
    rng = np.random.default_rng(0)
    for name, frames, channels in (("a", 100, 1), ("b", 64, 2), ("c", 5, 1), ("d", 333, 1)):
        walk = rng.integers(-2000, 2000, (frames, channels)).cumsum(0)
        write_wav(path / f"{name}.wav", np.clip(walk, -(2**15), 2**15 - 1), Encoding.S16)
    return path


class Uniform(Unigram):
    """Knows nothing, and takes half of a 16-bit sample's cost for its upper byte."""

    def init(self, key: jax.Array) -> dict[str, Any]:
        return {}

    def log_likelihood(self, params, inputs):
        return jnp.full(inputs["samples"].shape, -self.config.depth * math.log(2))

    def cost_parts(self, params, inputs):
        cost = -self.log_likelihood(params, inputs)
        return {"upper byte": cost / 2, "lower byte": cost / 2}


def _reference(folder, config: PipelineConfig) -> dict[str, tuple[float, int]]:
    """Bits and samples of each file, chunk by chunk, the obvious way."""
    transformer, params = model(config.depth)
    log_likelihood = jax.jit(functools.partial(transformer.log_likelihood, params))
    chunks = Chunks(
        catalogue=build_catalogue([os.fspath(folder)]),
        config=dataclasses.replace(config, batch_size=1),
    )
    found: dict[str, tuple[float, int]] = {}
    dataset = make_dataset(chunks, one_pass=True, shuffle=False)
    for number, batch in enumerate(dataset.as_numpy_iterator()):
        path, _ = chunks.locate(number)
        length = int(batch["stop"][0, 0])
        inputs = {"samples": batch["samples"][0]}
        nats = -np.asarray(log_likelihood(inputs), np.float64)[0, :length].sum()
        bits, samples = found.get(os.path.basename(path), (0.0, 0))
        found[os.path.basename(path)] = bits + nats / math.log(2), samples + length
    return found


@pytest.mark.slow
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("downmix", [False, True])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_equals_the_sum_over_chunks(folder, depth, downmix, batch_size):
    config = dataclasses.replace(CONFIG, depth=depth, downmix=downmix, batch_size=batch_size)
    catalogue = build_catalogue([os.fspath(folder)])
    result = evaluate(*model(depth), catalogue, config)
    expected = _reference(folder, config)
    assert result.names == tuple(expected)
    np.testing.assert_allclose(result.model_bits, [b for b, _ in expected.values()], rtol=1e-6)
    samples = [100, 64 * (1 if downmix else 2), 5, 333]
    assert result.samples.tolist() == [n for _, n in expected.values()] == samples


@pytest.mark.parametrize("depth", [8, 16])
def test_every_view_has_the_same_sum(folder, depth):
    config = dataclasses.replace(CONFIG, depth=depth)
    result = evaluate(*model(depth), build_catalogue([os.fspath(folder)]), config)
    for bins in (result.by_position, result.by_loudness):
        assert bins.samples.sum() == result.samples.sum()
        assert bins.bits.sum() == pytest.approx(result.model_bits.sum(), rel=1e-12)
    assert result.by_position.edges[[0, -1]].tolist() == [0, 32]
    names = {"upper byte", "lower byte"} if depth == 16 else {"sample"}
    assert result.cost_parts.keys() == names
    assert all((bits > 0).all() for bits in result.cost_parts.values())
    np.testing.assert_allclose(sum(result.cost_parts.values()), result.model_bits, rtol=1e-12)


def test_order_0_is_that_of_the_samples(folder):
    catalogue = build_catalogue([os.fspath(folder)])
    result = evaluate(*model(), catalogue, CONFIG)
    files = range(len(catalogue))
    samples = np.concatenate([b for f in files for b in read_samples(catalogue, f, CONFIG)])
    _, counts = np.unique(samples, return_counts=True)
    shares = counts / counts.sum()
    expected = -(shares * np.log2(shares)).sum()
    assert result.order0_bits_per_sample == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("depth", [8, 16, 24])
def test_a_model_that_knows_nothing_needs_all_bits(folder, depth):
    config = dataclasses.replace(CONFIG, depth=depth)
    result = evaluate(Uniform(depth), {}, build_catalogue([os.fspath(folder)]), config)
    assert result.bits_per_sample == pytest.approx(depth, rel=1e-7)
    np.testing.assert_allclose(result.cost_parts["upper byte"], result.model_bits / 2, rtol=1e-6)


def test_what_is_not_scored_is_in_no_figure(folder):
    """The first samples of a chunk may be context alone."""
    catalogue = build_catalogue([os.fspath(folder)])
    samples = np.full((2, 32), 64, np.int8)
    samples[:, :3] = -128
    mask = np.broadcast_to(np.arange(32) >= 3, samples.shape)
    nats = np.where(mask, np.float32(math.log(2)), np.float32(np.nan))
    aggregator = Aggregator(catalogue, CONFIG)
    aggregator.add_file(1, [Rows(1, samples, mask, True, {"all": nats})])
    result = aggregator.results({}, 0.0)
    assert result.names == ("b.wav",)
    assert (result.samples.tolist(), result.model_bits.tolist()) == ([58], [pytest.approx(58)])
    assert result.by_position.samples[:3].sum() == 0
    assert result.order0_bits_per_sample == 0
    assert dict(zip(result.by_loudness.edges, result.by_loudness.samples, strict=False))[-12] == 58


def test_equals_the_figure_of_the_training_loop(folder):
    transformer, params = model()
    catalogue = build_catalogue([os.fspath(folder)])
    data = make_dataset(Chunks(catalogue=catalogue, config=CONFIG), one_pass=True)
    validation = validate(
        make_eval_step(transformer),
        transformer,
        init_state(params, TrainingConfig()).params,
        data.as_numpy_iterator(),
    )
    result = evaluate(transformer, params, catalogue, CONFIG)
    assert result.samples.sum() == validation["valid/samples"]
    assert result.bits_per_sample == pytest.approx(validation["valid/bits_per_sample"], rel=1e-5)


@pytest.mark.slow
def test_silence_costs_a_trained_model_nothing(folder, tmp_path):
    transformer, params = model()
    data = make_dataset(
        Chunks(catalogue=build_catalogue([os.fspath(folder)]), config=CONFIG)
    ).as_numpy_iterator()
    config = TrainingConfig(learning_rate=1e-2, warmup_steps=0, lr_schedule="constant")
    state, step = init_state(params, config), make_train_step(transformer, config)
    flags = ControlFlagReducer(max_in_flight=1).outgoing
    for _ in range(20):
        state, _, _ = step(state, device_batch(transformer, next(data)), flags)
    write_wav(tmp_path / "silence.wav", np.zeros((2000, 1), int), Encoding.S16)
    silence = build_catalogue([os.fspath(tmp_path)])
    config = dataclasses.replace(CONFIG, chunk_size=1000)
    assert evaluate(transformer, unreplicate(state.params), silence, config).bits_per_sample < 0.1


def test_white_noise_costs_its_entropy(tmp_path):
    levels, count = 64, 20_000
    noise = np.random.default_rng(0).integers(0, levels, (count, 1)) * (2**16 // levels) - 2**15
    write_wav(tmp_path / "noise.wav", noise, Encoding.S16)
    result = evaluate(*model(), build_catalogue([os.fspath(tmp_path)]), CONFIG)
    # By the luck of these samples a model may save a few standard errors of a surprise.
    assert result.bits_per_sample > math.log2(levels) - 0.01


def test_loudness(tmp_path):
    wave = np.where(np.arange(64) % 2, 2**15 - 256, -(2**15) + 256)[:, np.newaxis]
    for name, gain in (("full", 1), ("half", 0.5), ("silence", 0)):
        write_wav(tmp_path / f"{name}.wav", (wave * gain).astype(int), Encoding.S16)
    bins = evaluate(*model(), build_catalogue([os.fspath(tmp_path)]), CONFIG).by_loudness
    # -6.09 dB: just below the edge.
    assert dict(zip(bins.edges, bins.samples, strict=False)) | {-np.inf: 64, -12: 64, -6: 64} == (
        dict(zip(bins.edges, bins.samples, strict=False))
    )
    assert bins.samples.sum() == 192


def test_a_file_that_changed_is_in_no_figure(folder, tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.wav").write_bytes((folder / f"{name}.wav").read_bytes())
    catalogue = build_catalogue([os.fspath(tmp_path)])
    whole = evaluate(*model(), catalogue.select([0, 1, 2]), CONFIG)
    (tmp_path / "d.wav").unlink()
    result = evaluate(*model(), catalogue, CONFIG)
    assert [path for path, _ in result.skipped] == [os.fspath(tmp_path / "d.wav")]
    assert "No such file" in result.skipped[0].reason
    assert result.names == ("a.wav", "b.wav", "c.wav")
    np.testing.assert_allclose(result.model_bits, whole.model_bits, rtol=1e-6)
    assert result.order0_bits_per_sample == whole.order0_bits_per_sample
    assert result.by_position.samples.sum() == whole.samples.sum()


def test_nothing_to_read_is_an_error(folder, tmp_path):
    (tmp_path / "a.wav").write_bytes((folder / "a.wav").read_bytes())
    catalogue = build_catalogue([os.fspath(tmp_path)])
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match=r"none of the files could be read; .*a\.wav"):
        evaluate(*model(), catalogue, CONFIG)
    with pytest.raises(DataError, match="catalogue is empty"):
        evaluate(*model(), catalogue.select([]), CONFIG)


def test_a_broken_model_is_an_error_that_names_the_file(folder):
    transformer, params = model()
    broken = jax.tree.map(lambda x: x * np.nan, params)
    with pytest.raises(DataError, match=r"a\.wav'.* the model has diverged"):
        evaluate(transformer, broken, build_catalogue([os.fspath(folder)]), CONFIG)


_ON_FOUR = """
import json, sys
from tests.evaluation.test_score import CONFIG, build_catalogue, evaluate, jax, model
assert jax.local_device_count() == 4
print(json.dumps(evaluate(*model(), build_catalogue([sys.argv[1]]), CONFIG).model_bits.tolist()))
"""


@pytest.mark.slow
def test_four_devices_give_the_figures_of_one(folder):
    one = evaluate(*model(), build_catalogue([os.fspath(folder)]), CONFIG).model_bits
    done = subprocess.run(
        [sys.executable, "-c", _ON_FOUR, os.fspath(folder)],
        env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    np.testing.assert_allclose(json.loads(done.stdout.splitlines()[-1]), one, rtol=1e-5)
