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
from pipeline.reading.read_chunks import UNREADABLE
from tests import toy_model
from training import loop
from training.checkpoints import store as checkpoint
from training.checkpoints.schedule import CheckpointSchedule
from training.checkpoints.store import CheckpointStore
from training.config import CheckpointConfig, TrainingConfig
from training.control.control_flags import ControlFlags
from training.job import Job
from training.validation import validate

GOES_ON = ControlFlags


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

    def position(self):
        return {"records": [len(self)]}

    def rewind(self, positions):
        del self[positions["records"][0] :]

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
    monkeypatch,
    records,
    symbols=None,
    lengths=None,
    valid=None,
    saver=None,
    start=None,
    profile_dir="unused",
    problem=lambda: None,
    **fields,
):
    monkeypatch.setattr(loop, "Transformer", toy_model.Unigram)
    monkeypatch.setattr(loop, "init_params", toy_model.init_params)
    symbols = np.tile([0, 0, 1, 3], (1, 2, 1)) if symbols is None else symbols
    lengths = np.full(np.shape(symbols)[:2], 4) if lengths is None else lengths
    saver = saver or CheckpointSchedule(None, CheckpointConfig(), records, {})
    job = Job(
        train_data=lambda step: _dataset(symbols, lengths).repeat().skip(step).as_numpy_iterator(),
        valid_data=valid,
        model=ModelConfig(),
        config=TrainingConfig(**{"learning_rate": 0.1, "warmup_steps": 0, **fields}),
        bits=8,
        writer=records,
        saver=saver,
        problem=problem,
        profile_dir=profile_dir,
    )
    return loop.train(job, start)


def test_a_whole_run(monkeypatch):
    records = _Records()
    result = _train(
        monkeypatch, records, valid=_valid(), training_steps=23, log_every=10, eval_every=8
    )
    assert records.steps("train/loss") == [1, 10, 20, 23]
    assert records.steps("valid/loss") == [8, 16, 23]
    assert (result.steps, result.interrupted, result.signal) == (23, False, None)
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
    monkeypatch.setattr(toy_model, "Unigram", BreaksAt255)
    symbols = np.zeros((9, 2, 4))
    symbols[4, 1, 2] = 255  # In the fifth step.
    message = (
        r"step 5 is not finite; it saw batch 4; the model is lost. Try a lower --learning_rate"
    )
    with pytest.raises(loop.TrainingError, match=message):
        _train(monkeypatch, _Records(), symbols, training_steps=9, log_every=log_every)


def test_a_validation_that_is_not_finite(monkeypatch):
    state = SimpleNamespace(params=None)
    sums = {"nats": _replicated(np.nan), "samples": _replicated(1)}
    step = lambda params, batch, wishes: (sums, wishes)  # noqa: E731
    with pytest.raises(loop.TrainingError, match="the validation loss is not finite"):
        validate(step, state, _valid(), 0, 8, GOES_ON)


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

    def step(params, batch, wishes):
        samples = batch["lengths"].clip(0).sum()
        return {"nats": _replicated(2.0 * samples), "samples": _replicated(samples)}, wishes

    return validate(step, state, data or _valid(), steps, 8, GOES_ON)


@pytest.mark.parametrize(
    ("steps", "counts"), [(1, [4, 2, 2]), (2, [8, 4, 4]), (3, [10, 5, 4]), (0, [10, 5, 4])]
)
def test_evaluation(steps, counts):
    """Of 0, 1 and 3 there are `counts`, padding left out."""
    metrics = _evaluate(steps)
    shares = np.array(counts) / np.sum(counts)
    assert metrics.pop("valid/order0_bits_per_sample") == pytest.approx(-(shares @ np.log2(shares)))
    assert metrics.pop("valid/loss") == pytest.approx(2)
    assert metrics.pop("valid/bits_per_sample") == pytest.approx(2 / math.log(2))
    assert metrics.pop("valid/compression_ratio") == pytest.approx(2 / math.log(2) / 8)
    assert metrics == {"valid/samples": np.sum(counts)}


def test_the_entropy_of_one_symbol_is_zero():
    metrics = _evaluate(0, _dataset(np.zeros((1, 2, 4)), [[4, 4]]))
    assert str(metrics["valid/order0_bits_per_sample"]) == "0.0"


def test_evaluation_of_nothing():
    assert _evaluate(0, _dataset(np.zeros((1, 2, 4)), [[0, UNREADABLE]])) == {}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("step", [2, 3])
def test_a_signal_ends_after_the_step_with_what_was_trained(monkeypatch, number, step):
    handler = signal.getsignal(number)

    class Bar(loop.ProgressBar):
        def update(self, n, **postfix):
            steps.append(n)
            if len(steps) == step:
                signal.raise_signal(number)

    steps: list[int] = []
    monkeypatch.setattr(loop, "ProgressBar", Bar)
    records = _Records()
    result = _train(
        monkeypatch, records, valid=_valid(), training_steps=100, log_every=2, eval_every=5
    )
    assert result.interrupted
    assert result.signal == number
    assert result.steps == step
    # What was trained since the last line is told, and not written: when the run goes on, it comes
    # in a line once more.
    assert [step for step, _ in records] == [1, 2]
    assert (result.train["train/loss"] < records[-1][1]["train/loss"]) == (step > 2)
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
    assert (result.steps, result.interrupted, result.valid) == (2, True, {})


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


def _saver(folder, records, **fields):
    return CheckpointSchedule(
        CheckpointStore(str(folder), keep=100), CheckpointConfig(**fields), records, {}
    )


def _without_seconds(records):
    clock = {"seconds", "train/samples_per_second", "train/input_wait"}
    return [(step, {k: v for k, v in line.items() if k not in clock}) for step, line in records]


SYMBOLS = np.random.default_rng(0).integers(0, 9, (11, 2, 4))


@pytest.mark.parametrize("step", [1, 2, 4, 6, 8, 9])
def test_a_resumed_run_is_the_run(monkeypatch, tmp_path, step):
    """Whether it was saved at a line, between two, or before or after a validation."""
    fields = {"valid": _valid(), "training_steps": 9, "log_every": 4, "eval_every": 6}
    whole = _Records()
    expected = _train(monkeypatch, whole, SYMBOLS, **fields)

    records = _Records()
    saver = _saver(tmp_path, records, checkpoint_every=1)
    _train(monkeypatch, records, SYMBOLS, saver=saver, **fields)
    start = checkpoint._read(f"{tmp_path}/{step}")
    records.rewind(start.progress["outputs"])
    result = _train(monkeypatch, records, SYMBOLS, start=start, **fields)
    assert _without_seconds(records) == _without_seconds(whole)
    np.testing.assert_array_equal(result.params["logits"], expected.params["logits"])
    clock = {"train/samples_per_second", "train/input_wait"}
    assert {k: v for k, v in result.train.items() if k not in clock} == {
        k: v for k, v in expected.train.items() if k not in clock
    }
    assert result.valid == expected.valid
    assert result.seconds >= start.progress["seconds"]


def test_a_validation_that_a_signal_cut_short_comes_after_the_resumption(monkeypatch, tmp_path):
    fields = {"training_steps": 5, "log_every": 9, "eval_every": 2, "eval_steps": 0}
    whole = _Records()
    _train(monkeypatch, whole, SYMBOLS, valid=_valid(), **fields)
    records = _Records()

    class Asked(loop.SignalHandler):
        signal = property(lambda self: signal.SIGTERM if len(bar) >= 2 else None, lambda *_: None)

    class Bar(loop.ProgressBar):
        def update(self, n, **postfix):
            bar.append(n)

    bar: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(loop, "Interruption", Asked)
        patch.setattr(loop, "ProgressBar", Bar)
        first = _train(
            monkeypatch, records, SYMBOLS, valid=_valid(), saver=_saver(tmp_path, records), **fields
        )
    assert (first.steps, first.valid) == (2, {})
    start = CheckpointStore(str(tmp_path), keep=1).restore()
    records.rewind(start.progress["outputs"])
    _train(monkeypatch, records, SYMBOLS, valid=_valid(), start=start, **fields)
    assert _without_seconds(records) == _without_seconds(whole)


class BreaksAt255(toy_model.Unigram):
    """Its loss is no number where symbol 255 is."""

    def apply(self, variables, symbols, *, method):
        found = super().apply(variables, symbols, method=method)
        return jnp.where(symbols == 255, jnp.nan, found)


@pytest.mark.parametrize("checkpoint_every", [0, 2])
def test_a_batch_that_breaks_the_model_is_left_out(monkeypatch, tmp_path, caplog, checkpoint_every):
    monkeypatch.setattr(toy_model, "Unigram", BreaksAt255)
    broken = SYMBOLS.copy()
    broken[4, 1, 2] = 255  # In the fifth batch, which the sixth step reads again but for it.
    fields = {"training_steps": 8, "log_every": 3}
    records = _Records()
    saver = _saver(tmp_path / "a", records, on_nan="rollback", checkpoint_every=checkpoint_every)
    result = _train(monkeypatch, records, broken, saver=saver, **fields)
    assert "step 5 is not finite; it saw batch 4: going back to step" in caplog.text

    first = checkpoint_every and 4
    kept = [*range(first), *range(5, 5 + 8 - first)]
    other = _Records()
    good = np.resize(SYMBOLS, (22, 2, 4))[kept]
    expected = _train(monkeypatch, other, good, **fields)
    np.testing.assert_array_equal(result.params["logits"], expected.params["logits"])
    assert _without_seconds(records) == _without_seconds(other)


def test_a_model_that_breaks_again_and_again_ends(monkeypatch, tmp_path):
    monkeypatch.setattr(toy_model, "Unigram", BreaksAt255)
    records = _Records()
    saver = _saver(tmp_path, records, on_nan="rollback")
    with pytest.raises(loop.TrainingError, match="gone back 10 times; the model is lost"):
        _train(monkeypatch, records, np.full((3, 2, 4), 255), saver=saver, training_steps=9)


def test_a_loss_that_is_not_finite_never_becomes_a_checkpoint(monkeypatch, tmp_path):
    monkeypatch.setattr(toy_model, "Unigram", BreaksAt255)
    broken = SYMBOLS.copy()
    broken[4, 1, 2] = 255
    records = _Records()
    saver = _saver(tmp_path, records, checkpoint_every=1)
    with pytest.raises(loop.TrainingError, match="goes on from the checkpoint of step 4"):
        _train(monkeypatch, records, broken, saver=saver, training_steps=9)
    assert sorted(CheckpointStore(str(tmp_path), keep=1).steps()) == [1, 2, 3, 4]


@pytest.mark.parametrize(("policy", "steps"), [("continue", [9]), ("stop", range(3, 8))])
def test_a_checkpoint_that_cannot_be_saved(monkeypatch, tmp_path, caplog, policy, steps):
    records = _Records()
    saver = _saver(tmp_path, records, checkpoint_every=3, on_save_error=policy)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "write_bytes_atomically", full)
    result = _train(monkeypatch, records, SYMBOLS, saver=saver, training_steps=9)
    assert result.steps in steps  # After the next save at the latest.
    if policy == "stop":
        assert result.interrupted and "No space left on device" in result.failure
    else:
        assert not result.interrupted
        assert "No space left on device; training goes on" in caplog.text
    assert CheckpointStore(str(tmp_path), keep=1).steps() == []


def test_the_clock_says_when_to_save(monkeypatch, tmp_path):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    saver = _saver(tmp_path, _Records(), checkpoint_minutes=2)
    assert not saver.take_due()
    now[0] = 119.0
    assert not saver.take_due()
    now[0] = 121.0
    assert saver.take_due()
    assert not saver.take_due()
    now[0] = 242.0
    assert saver.take_due()


def test_a_save_after_one_that_failed_is_not_lost(monkeypatch, tmp_path, caplog):
    records, failures = _Records(), [OSError(28, "No space left on device")]
    write = checkpoint.write_bytes_atomically

    def full_once(*args):
        if failures:
            raise failures.pop()
        write(*args)

    monkeypatch.setattr(checkpoint, "write_bytes_atomically", full_once)
    # The failure is known only when the next save begins.
    monkeypatch.setattr(CheckpointStore, "check", lambda self: None)
    saver = _saver(tmp_path, records, checkpoint_every=3)
    _train(monkeypatch, records, SYMBOLS, saver=saver, training_steps=6)
    assert "No space left on device; training goes on" in caplog.text
    assert CheckpointStore(str(tmp_path), keep=1).steps() == [6]


def test_a_validation_that_was_due_is_left_out_where_nothing_is_held_out_any_more(
    monkeypatch, tmp_path
):
    records = _Records()
    saver = _saver(tmp_path, records, checkpoint_every=2)
    _train(monkeypatch, records, SYMBOLS, saver=saver, training_steps=2)
    start = CheckpointStore(str(tmp_path), keep=1).restore()
    start.progress["must_validate"] = True
    assert _train(monkeypatch, records, SYMBOLS, start=start, training_steps=4).steps == 4


def test_a_problem_that_the_last_validation_meets_is_told(monkeypatch):
    problems = []

    def told_once_validated(step, metrics):
        if "valid/loss" in metrics:
            problems.append("a file is gone")

    records = _Records(told_once_validated)
    result = _train(
        monkeypatch,
        records,
        valid=_valid(),
        problem=lambda: problems[-1] if problems else None,
        training_steps=3,
    )
    assert (result.steps, result.failure) == (3, "a file is gone")
