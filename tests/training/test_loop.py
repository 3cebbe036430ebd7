"""The loop: what it reports and when, and how it ends.

D devices, B batch, L chunk size.
"""

import math
import signal
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf

from models.config import ModelConfig
from pipeline.read import UNREADABLE
from tests import toy_model
from training import loop
from training.config import TrainingConfig

GOES_ON = SimpleNamespace(asked=False)


class _Records(list):
    """Keeps what is written, and calls back."""

    def __init__(self, on_write=lambda step, metrics: None):
        super().__init__()
        self.on_write = on_write

    def write(self, step, metrics):
        self.append((step, dict(metrics)))
        self.on_write(step, metrics)

    def close(self):
        pass

    def steps(self, name):
        return [step for step, metrics in self if name in metrics]


def _dataset(symbols, lengths):  # [steps, B, L], [steps, B] -> batches [1, B, L]
    batches = {
        "symbols": np.asarray(symbols, np.uint8)[:, np.newaxis],
        "lengths": np.asarray(lengths, np.int32)[:, np.newaxis],
    }
    return tf.data.Dataset.from_tensor_slices(batches)


def _valid():
    """Three batches, the last one half empty."""
    return _dataset(np.tile([0, 0, 1, 3], (3, 2, 1)), [[4, 4], [4, 4], [3, 0]])


def _train(
    monkeypatch, records, symbols=None, lengths=None, valid=None, profile_dir="unused", **fields
):
    monkeypatch.setattr(loop, "Transformer", toy_model.Unigram)
    monkeypatch.setattr(loop, "init_params", toy_model.init_params)
    symbols = np.tile([0, 0, 1, 3], (1, 2, 1)) if symbols is None else symbols
    lengths = np.full(np.shape(symbols)[:2], 4) if lengths is None else lengths
    return loop.train(
        _dataset(symbols, lengths).repeat(),
        valid,
        ModelConfig(),
        TrainingConfig(**{"learning_rate": 0.1, "warmup_steps": 0, **fields}),
        bits=8,
        writer=records,
        profile_dir=profile_dir,
    )


def test_a_whole_run(monkeypatch):
    records = _Records()
    result = _train(
        monkeypatch, records, valid=_valid(), training_steps=23, log_every=10, eval_every=8
    )
    assert records.steps("train/loss") == [1, 10, 20, 23]
    assert records.steps("valid/loss") == [8, 16, 23]
    assert (result.steps, result.interrupted) == (23, False)
    train, valid = ({**metrics} for _, metrics in records[-2:])
    assert 0 < train.pop("seconds") <= valid.pop("seconds") <= result.seconds
    assert (result.train, result.valid) == (train, valid)
    assert train["train/loss"] < records[0][1]["train/loss"] - 1
    assert {*train} == {
        "train/loss",
        "train/bits_per_sample",
        "train/compression_ratio",
        "train/grad_norm",
        "train/learning_rate",
        "train/samples_per_second",
        "train/input_wait",
    }
    for split, metrics in (("train", train), ("valid", valid)):
        bits = metrics[f"{split}/loss"] / math.log(2)
        assert metrics[f"{split}/bits_per_sample"] == pytest.approx(bits)
        assert metrics[f"{split}/compression_ratio"] == pytest.approx(bits / 8)
    assert 0 <= train["train/input_wait"] <= 1
    assert isinstance(result.params["logits"], np.ndarray)


def test_the_figures_are_means_over_the_steps_since_the_last_line(monkeypatch):
    records = _Records()
    _train(monkeypatch, records, training_steps=7, log_every=3)
    single = _Records()
    _train(monkeypatch, single, training_steps=7, log_every=1)
    losses = [metrics["train/loss"] for _, metrics in single]
    assert [step for step, _ in records] == [1, 3, 6, 7]
    expected = [losses[0], np.mean(losses[1:3]), np.mean(losses[3:6]), losses[6]]
    found = [metrics["train/loss"] for _, metrics in records]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_another(monkeypatch):
    runs = [_train(monkeypatch, _Records(), training_steps=3, seed=seed) for seed in (1, 1, 2)]
    logits = [run.params["logits"] for run in runs]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert (logits[0] != logits[2]).any()


@pytest.mark.parametrize("log_every", [1, 2, 10])
def test_a_loss_that_is_not_finite_names_its_step(monkeypatch, log_every):
    class BreaksAt255(toy_model.Unigram):
        def apply(self, variables, symbols, *, method):
            found = super().apply(variables, symbols, method=method)
            return jnp.where(symbols == 255, jnp.nan, found)

    monkeypatch.setattr(toy_model, "Unigram", BreaksAt255)
    symbols = np.zeros((9, 2, 4))
    symbols[4, 1, 2] = 255  # In the fifth step.
    message = r"step 5 is not finite; the model is lost. Try a lower --learning_rate or "
    with pytest.raises(loop.TrainingError, match=message):
        _train(monkeypatch, _Records(), symbols, training_steps=9, log_every=log_every)


def test_a_validation_that_is_not_finite(monkeypatch):
    state = SimpleNamespace(params=None)
    step = lambda params, batch: {"nats": _replicated(np.nan), "samples": _replicated(1)}  # noqa: E731
    with pytest.raises(loop.TrainingError, match="the validation loss is not finite"):
        loop.evaluate(step, state, _valid(), 0, 8, GOES_ON)


def test_steps_without_audio_are_left_out(monkeypatch):
    lengths = [[4, 4], [UNREADABLE, UNREADABLE], [4, UNREADABLE]]
    records = _Records()
    _train(
        monkeypatch,
        records,
        np.tile([0, 0, 1, 3], (3, 2, 1)),
        lengths,
        training_steps=3,
        log_every=1,
    )
    assert [step for step, _ in records] == [1, 3]
    assert records[1][1]["train/loss"] < records[0][1]["train/loss"]


def test_a_run_whose_audio_has_gone_ends(monkeypatch):
    lengths = np.full((500, 2), UNREADABLE)
    lengths[:5] = 4
    with pytest.raises(loop.TrainingError, match=r"in the 100 steps up to 110; is its folder"):
        _train(
            monkeypatch,
            _Records(),
            np.zeros((500, 2, 4)),
            lengths,
            training_steps=500,
            log_every=10,
        )


def _replicated(value):
    return jnp.full((1,), value)


def _evaluate(steps, data=None):
    """Evaluates a model that spends 2 nats on each sample."""
    state = SimpleNamespace(params=None)

    def step(params, batch):
        samples = batch["lengths"].clip(0).sum()
        return {"nats": _replicated(2.0 * samples), "samples": _replicated(samples)}

    return loop.evaluate(step, state, data or _valid(), steps, 8, GOES_ON)


@pytest.mark.parametrize(
    ("steps", "counts"), [(1, [4, 2, 2]), (2, [8, 4, 4]), (3, [10, 5, 4]), (0, [10, 5, 4])]
)
def test_evaluation(steps, counts):
    """Of 0, 1 and 3 there are `counts`, padding left out."""
    metrics = _evaluate(steps)
    shares = np.array(counts) / np.sum(counts)
    assert metrics.pop("valid/order0_entropy") == pytest.approx(-(shares @ np.log2(shares)))
    assert metrics.pop("valid/loss") == pytest.approx(2)
    assert metrics.pop("valid/bits_per_sample") == pytest.approx(2 / math.log(2))
    assert metrics.pop("valid/compression_ratio") == pytest.approx(2 / math.log(2) / 8)
    assert metrics == {"valid/samples": np.sum(counts)}


def test_the_entropy_of_one_symbol_is_zero():
    metrics = _evaluate(0, _dataset(np.zeros((1, 2, 4)), [[4, 4]]))
    assert str(metrics["valid/order0_entropy"]) == "0.0"


def test_evaluation_of_nothing():
    assert _evaluate(0, _dataset(np.zeros((1, 2, 4)), [[0, UNREADABLE]])) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_after_the_step_with_what_was_trained(monkeypatch, number):
    handler = signal.getsignal(number)
    records = _Records(lambda step, metrics: step == 4 and signal.raise_signal(number))
    result = _train(
        monkeypatch, records, valid=_valid(), training_steps=100, log_every=2, eval_every=5
    )
    assert result.interrupted
    assert result.steps == 5
    assert [step for step, _ in records] == [1, 2, 4, 5]
    assert result.train.items() < records[-1][1].items()  # It tells the time besides.
    assert result.valid == {}
    assert signal.getsignal(number) is handler


def test_a_signal_during_the_validation_ends_it(monkeypatch):
    signals = iter([signal.SIGINT])

    def validating():
        # In a thread of TensorFlow; Python's handler runs in the main thread, soon after.
        for number in signals:
            signal.raise_signal(number)
        yield from _valid().as_numpy_iterator()

    valid = tf.data.Dataset.from_generator(validating, output_signature=_valid().element_spec)
    records = _Records()
    result = _train(
        monkeypatch, records, valid=valid.repeat(500), training_steps=9, eval_every=2, eval_steps=0
    )
    assert (result.steps, result.interrupted, result.valid) == (3, True, {})


def test_the_second_signal_ends_at_once(monkeypatch):
    def twice(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _train(monkeypatch, _Records(twice), training_steps=9, log_every=1)
    assert signal.getsignal(signal.SIGINT) is handler


def test_profile(monkeypatch, tmp_path):
    _train(
        monkeypatch, _Records(), training_steps=12, profile=True, profile_dir=str(tmp_path / "p")
    )
    assert any(path.is_file() for path in (tmp_path / "p").rglob("*"))
