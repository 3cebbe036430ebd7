"""The loop: what it reports and when, and how it ends.

B batch, L chunk size.
"""

import math
import re
import signal

import jax.numpy as jnp
import numpy as np
import pytest

from pipeline.reading.read_chunks import UNREADABLE
from runtime.errors import TrainingError
from tests.full_disk import fill_disk
from tests.toy_model import Unigram
from training.checkpoints.checkpoint_file import read_checkpoint
from training.checkpoints.save_schedule import CheckpointSchedule
from training.checkpoints.store import CheckpointStore
from training.config import CheckpointConfig, TrainingConfig
from training.device_batches import device_batches
from training.loop import TrainingLoop
from training.step import make_steps
from training.validation import validate

CLOCK = {"wall_time_s", "train/samples_per_second", "train/input_wait_fraction"}
SAMPLES = np.random.default_rng(0).integers(0, 9, (11, 2, 4))  # [steps, B, L]
TILED = np.tile([0, 0, 1, 3], (1, 2, 1))
BREAKS = 127  # A sample at which the model of these tests has no finite loss.


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

    def values(self, name):
        return [metrics[name] for _, metrics in self if name in metrics]

    def without_clock(self):
        return [(step, {k: v for k, v in x.items() if k not in CLOCK}) for step, x in self]


class _SignalAt(CheckpointSchedule):
    """Raises a signal after some step."""

    def __init__(self, records, number, step, store=None):
        super().__init__(store, CheckpointConfig(), records, {})
        self._number, self._steps_left = number, step

    def check(self, *, wait=False):
        self._steps_left -= not wait
        if self._steps_left == 0 and not wait:
            signal.raise_signal(self._number)
        super().check(wait=wait)


def _batches(samples, stop):  # [steps, B, L], [steps, B] -> batches [1, B, L]
    return [
        {
            "samples": np.asarray(of_step, np.int8)[np.newaxis],
            "first": np.zeros((1, len(ends)), np.int32),
            "stop": np.asarray(ends, np.int32)[np.newaxis],
        }
        for of_step, ends in zip(samples, stop, strict=True)
    ]


def _valid():
    """Three batches, the last one half empty."""
    return iter(_batches(np.tile([0, 0, 1, 3], (3, 2, 1)), [[4, 4], [4, 4], [3, 0]]))


def _train(
    records,
    samples=TILED,
    stop=None,
    *,
    model=None,
    valid_data=None,
    checkpoints=None,
    start=None,
    problem=lambda: None,
    profile_dir=None,
    **fields,
):
    model = model or Unigram()
    batches = _batches(samples, np.full(np.shape(samples)[:2], 4) if stop is None else stop)

    def train_data(step):
        while True:
            yield batches[step % len(batches)]
            step += 1

    config = TrainingConfig(**{"learning_rate": 0.1, "warmup_steps": 0, **fields})
    loop = TrainingLoop(
        model=model,
        config=config,
        steps=make_steps(model, config),
        train_data=lambda step: device_batches(model, lambda: train_data(step)),
        valid_data=valid_data,
        writer=records,
        checkpoints=checkpoints or CheckpointSchedule(None, CheckpointConfig(), records, {}),
        problem=problem,
        profile_dir=profile_dir,
    )
    return loop.run(start)


def _schedule(folder, records, store=None, **fields):
    store = store or CheckpointStore(str(folder), keep=100)
    return CheckpointSchedule(store, CheckpointConfig(**fields), records, {})


def _steps(folder):
    return sorted(CheckpointStore(str(folder), keep=1).steps())


def test_a_whole_run():
    records = _Records()
    result = _train(records, valid_data=_valid, training_steps=23, log_every=10, eval_every=8)
    assert records.steps("train/loss") == [1, 10, 20, 23]
    assert records.steps("valid/loss") == [8, 16, 23]
    assert (result.steps, result.interrupted, result.signal) == (23, False, None)
    train, valid, end = ({**metrics} for _, metrics in records[-3:])
    assert end == {"wall_time_s": result.wall_time_s}
    assert 0 < train.pop("wall_time_s") <= valid.pop("wall_time_s") <= result.wall_time_s
    assert (result.train, result.valid) == (train, valid)
    assert train["train/loss"] < records[0][1]["train/loss"] - 1
    assert {*train} == {
        "train/loss",
        "train/bits_per_sample",
        "train/compression_ratio",
        "train/grad_norm",
        "train/learning_rate",
        "train/samples_per_second",
        "train/input_wait_fraction",
    }
    for split, metrics in (("train", train), ("valid", valid)):
        bits = metrics[f"{split}/loss"] / math.log(2)
        assert metrics[f"{split}/bits_per_sample"] == pytest.approx(bits)
        assert metrics[f"{split}/compression_ratio"] == pytest.approx(bits / 8)
    assert 0 <= train["train/input_wait_fraction"] <= 1
    assert isinstance(result.params["logits"], np.ndarray)


def test_the_metrics_are_means_over_the_steps_since_the_last_record():
    records, single = _Records(), _Records()
    _train(records, training_steps=7, log_every=3)
    _train(single, training_steps=7, log_every=1)
    losses = single.values("train/loss")
    assert records.steps("train/loss") == [1, 3, 6, 7]
    expected = [losses[0], np.mean(losses[1:3]), np.mean(losses[3:6]), losses[6]]
    np.testing.assert_allclose(records.values("train/loss"), expected, rtol=1e-6)


def test_the_same_seed_gives_the_same_run_and_another_another():
    runs = [_train(_Records(), training_steps=3, seed=seed) for seed in (1, 1, 2)]
    logits = [run.params["logits"] for run in runs]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert (logits[0] != logits[2]).any()


@pytest.mark.parametrize("log_every", [1, 2, 10])
def test_a_loss_that_is_not_finite_names_its_step(log_every):
    message = r"step 5 is not finite; it saw batch 4; the model has diverged. Try a lower --learn"
    with pytest.raises(TrainingError, match=message):
        _train(
            _Records(),
            _broken(),
            model=Unigram(nan_at=BREAKS),
            training_steps=9,
            log_every=log_every,
        )


def _broken():
    """Samples that break the model in the fifth batch."""
    samples = SAMPLES.copy()
    samples[4, 1, 2] = BREAKS
    return samples


def test_steps_without_audio_are_left_out():
    stop = [[4, 4], [UNREADABLE, UNREADABLE], [4, UNREADABLE]]
    records = _Records()
    _train(records, np.tile(TILED, (3, 1, 1)), stop, training_steps=3, log_every=1)
    assert records.steps("train/loss") == [1, 3]
    assert records[1][1]["train/loss"] < records[0][1]["train/loss"]


def test_a_run_whose_audio_has_gone_ends():
    stop = np.full((500, 2), UNREADABLE)
    stop[:5] = 4
    with pytest.raises(TrainingError, match=r"in the 100 steps up to 110; expected the files"):
        _train(_Records(), np.zeros((500, 2, 4)), stop, training_steps=500, log_every=10)


def _validate(batches, nats_per_sample=2.0):
    """Validates a model that spends 2 nats on each sample."""

    def eval_step(params, batch, flags):
        samples = (batch["stop"] - batch["first"]).clip(0).sum()
        sums = {"nats": jnp.full(1, nats_per_sample * samples), "samples": jnp.full(1, samples)}
        return sums, flags

    return validate(eval_step, Unigram(), None, batches)


def test_validation():
    """Of 0, 1 and 3 there are `counts`, padding left out."""
    metrics, counts = _validate(_valid()), [10, 5, 4]
    shares = np.array(counts) / np.sum(counts)
    assert metrics.pop("valid/order0_bits_per_sample") == pytest.approx(-(shares @ np.log2(shares)))
    assert metrics.pop("valid/loss") == pytest.approx(2)
    assert metrics.pop("valid/bits_per_sample") == pytest.approx(2 / math.log(2))
    assert metrics.pop("valid/compression_ratio") == pytest.approx(2 / math.log(2) / 8)
    assert metrics == {"valid/samples": np.sum(counts)}


def test_a_validation_that_is_not_finite():
    with pytest.raises(TrainingError, match="the validation loss is not finite"):
        _validate(_valid(), nats_per_sample=np.nan)


def test_the_entropy_of_one_value_is_zero():
    metrics = _validate(_batches(np.zeros((1, 2, 4)), [[4, 4]]))
    assert str(metrics["valid/order0_bits_per_sample"]) == "0.0"


def test_validation_of_nothing():
    assert _validate(_batches(np.zeros((1, 2, 4)), [[0, UNREADABLE]])) == {}


def test_figures_of_an_earlier_validation_are_not_those_of_a_later_one(caplog):
    unreadable = _batches(np.zeros((1, 2, 4)), [[UNREADABLE, UNREADABLE]])
    passes = iter([_valid(), unreadable])
    records = _Records()
    result = _train(records, valid_data=lambda: next(passes), training_steps=4, eval_every=2)
    assert [step for step, metrics in records if "valid/loss" in metrics] == [2]
    assert result.valid == {}
    assert "step 4: no validation: none of the files held out can be read" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [2, 3])
def test_a_signal_ends_after_the_step_with_what_was_trained(number, step):
    handler = signal.getsignal(number)
    records = _Records()
    result = _train(
        records,
        valid_data=_valid,
        checkpoints=_SignalAt(records, number, step),
        training_steps=100,
        log_every=2,
        eval_every=5,
    )
    assert result.interrupted
    assert result.signal == number
    assert result.steps == step
    # The steps since the last record are shown, and not written: when the run is resumed, they come
    # in a record once more.
    assert records.steps("train/loss") == [1, 2]
    assert records[-1] == (step, {"wall_time_s": result.wall_time_s})
    assert (result.train["train/loss"] < records[-2][1]["train/loss"]) == (step > 2)
    assert result.valid == {}
    assert signal.getsignal(number) is handler


def test_a_signal_during_the_validation_ends_it():
    seen = []

    def valid_data():
        for _ in range(500):
            for batch in _valid():
                seen.append(batch)
                if len(seen) == 7:
                    signal.raise_signal(signal.SIGINT)
                yield batch

    result = _train(_Records(), valid_data=valid_data, training_steps=9, eval_every=2, eval_steps=0)
    assert (result.steps, result.interrupted, result.valid) == (2, True, {})
    assert len(seen) == 7


def test_the_second_signal_ends_at_once():
    def twice(step, metrics):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        _train(_Records(twice), training_steps=9, log_every=1)
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_terminal_that_is_closed_sends_sighup_twice():
    def twice(step, metrics):
        if step == 2 and "train/loss" in metrics:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGHUP)

    result = _train(_Records(twice), training_steps=9, log_every=1)
    assert (result.steps, result.signal) == (2, signal.SIGHUP)


def test_nohup_is_respected():
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hang_up = _Records(lambda step, metrics: signal.raise_signal(signal.SIGHUP))
        assert _train(hang_up, training_steps=3, log_every=1).steps == 3
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, handler)


def test_profile(tmp_path):
    folder = tmp_path / "profile"
    _train(_Records(), training_steps=12, profile=True, profile_dir=str(folder))
    assert any(path.is_file() for path in folder.rglob("*"))


def test_a_profile_that_cannot_be_written_is_a_warning(tmp_path, caplog):
    (tmp_path / "profile").write_text("a file")
    folder = f"{tmp_path}/profile"
    assert _train(_Records(), training_steps=12, profile=True, profile_dir=folder).steps == 12
    assert f"no profile written to {folder}: " in caplog.text


@pytest.mark.parametrize("step", [1, 2, 4, 6, 8, 9])
def test_a_resumed_run_is_the_run(tmp_path, step):
    """Whether it was saved at a record, between two, or before or after a validation."""
    fields = {"valid_data": _valid, "training_steps": 9, "log_every": 4, "eval_every": 6}
    whole = _Records()
    expected = _train(whole, SAMPLES, **fields)

    records = _Records()
    checkpoints = _schedule(tmp_path, records, checkpoint_every=1)
    _train(records, SAMPLES, checkpoints=checkpoints, **fields)
    start = read_checkpoint(f"{tmp_path}/{step}.npz")
    records.rewind(start.metadata["outputs"])
    result = _train(records, SAMPLES, start=start, **fields)
    assert records.without_clock() == whole.without_clock()
    np.testing.assert_array_equal(result.params["logits"], expected.params["logits"])
    assert {k: v for k, v in result.train.items() if k not in CLOCK} == {
        k: v for k, v in expected.train.items() if k not in CLOCK
    }
    assert result.valid == expected.valid
    assert result.wall_time_s >= start.metadata["loop"]["wall_time_s"]


def test_a_validation_that_a_signal_interrupted_comes_after_the_resumption(tmp_path):
    fields = {"valid_data": _valid, "training_steps": 5, "log_every": 9, "eval_every": 2}
    whole, records = _Records(), _Records()
    _train(whole, SAMPLES, **fields)
    store = CheckpointStore(str(tmp_path), keep=1)
    first = _train(
        records, SAMPLES, checkpoints=_SignalAt(records, signal.SIGTERM, 2, store), **fields
    )
    assert (first.steps, first.valid) == (2, {})
    start = store.restore()
    records.rewind(start.metadata["outputs"])
    _train(records, SAMPLES, start=start, **fields)
    assert records.without_clock() == whole.without_clock()


@pytest.mark.parametrize("checkpoint_every", [0, 2])
def test_a_batch_that_breaks_the_model_is_left_out(tmp_path, caplog, checkpoint_every):
    fields = {"training_steps": 8, "log_every": 3, "model": Unigram(nan_at=BREAKS)}
    records = _Records()
    checkpoints = _schedule(tmp_path, records, on_nan="rollback", checkpoint_every=checkpoint_every)
    result = _train(records, _broken(), checkpoints=checkpoints, **fields)
    assert "step 5 is not finite; it saw batch 4: rolling back to step" in caplog.text

    # The fifth batch, which the sixth step would read again.
    first = checkpoint_every and 4
    kept = [*range(first), *range(5, 5 + 8 - first)]
    other = _Records()
    expected = _train(other, np.resize(SAMPLES, (22, 2, 4))[kept], **fields)
    np.testing.assert_array_equal(result.params["logits"], expected.params["logits"])
    assert records.without_clock() == other.without_clock()


def test_a_model_that_breaks_again_and_again_ends(tmp_path):
    records = _Records()
    with pytest.raises(TrainingError, match="rolled back 10 times; the model has diverged"):
        _train(
            records,
            np.full((3, 2, 4), BREAKS),
            model=Unigram(nan_at=BREAKS),
            checkpoints=_schedule(tmp_path, records, on_nan="rollback"),
            training_steps=9,
        )


def test_a_loss_that_is_not_finite_never_becomes_a_checkpoint(tmp_path):
    records = _Records()
    with pytest.raises(TrainingError, match="resumes from the checkpoint of step 4"):
        _train(
            records,
            _broken(),
            model=Unigram(nan_at=BREAKS),
            checkpoints=_schedule(tmp_path, records, checkpoint_every=1),
            training_steps=9,
        )
    assert _steps(tmp_path) == [1, 2, 3, 4]


@pytest.mark.parametrize(("policy", "steps"), [("continue", [9]), ("stop", range(3, 8))])
def test_a_checkpoint_that_cannot_be_saved(tmp_path, caplog, monkeypatch, policy, steps):
    records = _Records()
    fill_disk(monkeypatch)
    checkpoints = _schedule(tmp_path, records, checkpoint_every=3, on_save_error=policy)
    result = _train(records, SAMPLES, checkpoints=checkpoints, training_steps=9)
    assert result.steps in steps  # After the next save at the latest.
    if policy == "stop":
        assert result.interrupted and "No space left on device" in result.failure
    else:
        assert not result.interrupted
        assert re.search("No space left on device.*; training continues", caplog.text)
    assert _steps(tmp_path) == []


def test_the_clock_decides_when_to_save(tmp_path):
    now = [0.0]
    store = CheckpointStore(str(tmp_path), keep=1)
    checkpoints = CheckpointSchedule(
        store, CheckpointConfig(checkpoint_minutes=2), _Records(), {}, clock=lambda: now[0]
    )
    assert not checkpoints.poll_clock()
    now[0] = 119.0
    assert not checkpoints.poll_clock()
    now[0] = 121.0
    assert checkpoints.poll_clock()
    assert not checkpoints.poll_clock()
    now[0] = 242.0
    assert checkpoints.poll_clock()


def test_a_save_after_one_that_failed_is_not_lost(tmp_path, caplog, monkeypatch):
    class ChecksLate(CheckpointStore):
        """Its failure is known only when the next save begins."""

        def check(self):
            pass

    records = _Records()
    fill_disk(monkeypatch, times=1)
    store = ChecksLate(str(tmp_path), keep=100)
    checkpoints = _schedule(tmp_path, records, store, checkpoint_every=3)
    _train(records, SAMPLES, checkpoints=checkpoints, training_steps=6)
    assert re.search("No space left on device.*; training continues", caplog.text)
    assert _steps(tmp_path) == [6]


def test_a_validation_that_was_due_is_left_out_where_nothing_is_held_out_any_more(tmp_path):
    records = _Records()
    checkpoints = _schedule(tmp_path, records, checkpoint_every=2)
    _train(records, SAMPLES, checkpoints=checkpoints, training_steps=2)
    start = CheckpointStore(str(tmp_path), keep=1).restore()
    start.metadata["loop"]["must_validate"] = True
    assert _train(records, SAMPLES, start=start, training_steps=4).steps == 4


def test_a_problem_that_the_last_validation_meets_is_in_the_result():
    problems = []

    def once_validated(step, metrics):
        if "valid/loss" in metrics:
            problems.append("a file is gone")

    result = _train(
        _Records(once_validated),
        valid_data=_valid,
        problem=lambda: problems[-1] if problems else None,
        training_steps=3,
    )
    assert (result.steps, result.failure) == (3, "a file is gone")
