"""The pool of features: what each step draws from it."""

import collections
import dataclasses

import numpy as np
import pytest

from commands import train
from pipeline.reading.read_chunks import UNREADABLE
from runtime.errors import ConfigError
from tests.command_line import parsed
from training.feature_pool import FeaturePool, PoolSchedule, make_schedule

L, N = 50, 20  # Samples of a chunk; samples drawn of a row.


def batch(number, rows, devices=1, stop=L, first=0):
    """Each sample says where it comes from: its batch, its row, its place in the chunk."""
    places = np.meshgrid([number], np.arange(*rows), np.arange(L), indexing="ij")
    features = np.stack([x[0] for x in places], -1).astype(np.float32)
    size = rows[1] - rows[0]
    arrays = {
        "inputs": {"features": features, "residual": features[..., 0] * 1e6 + features[..., 2]},
        "first": np.full(size, first, np.int32),
        "stop": np.broadcast_to(np.int32(stop), size),
    }
    return {
        "inputs": {name: split(x, devices) for name, x in arrays["inputs"].items()},
        **{name: split(arrays[name], devices) for name in ("first", "stop")},
    }


def split(array, devices):
    return array.reshape(devices, -1, *array.shape[1:])


def pool(numbers=range(4), rows=(0, 4), devices=1, size=4, seed=1, draws=N, **of_batch):
    made = FeaturePool(size, draws, seed=seed, rows=rows, num_devices=devices)
    for number in numbers:
        made.add(number, batch(number, rows, devices, **of_batch))
    return made


def places(drawn):
    """Returns [D, rows, (batch, row, place)] of what was drawn."""
    return drawn["inputs"]["features"][..., 0, :].astype(int)


def test_rows_of_one_sample_for_the_step():
    drawn = pool(devices=2).draw(7)
    assert drawn["inputs"]["features"].shape == (2, 2 * N, 1, 3)
    assert drawn["inputs"]["features"].dtype == np.float32
    assert drawn["inputs"]["residual"].shape == (2, 2 * N, 1)
    assert drawn["first"].shape == drawn["stop"].shape == (2, 2 * N)
    assert not drawn["first"].any() and (drawn["stop"] == 1).all()
    # What belongs to a sample stays together, and each row draws from its own chunks.
    found = places(drawn)
    assert np.array_equal(
        found[..., 0] * 1e6 + found[..., 2], drawn["inputs"]["residual"][..., 0].astype(np.float64)
    )
    assert np.array_equal(found[..., 1].ravel(), np.repeat(np.arange(4), N))


def test_a_draw_is_a_pure_function_of_seed_and_step():
    one, two = pool(), pool()
    two.draw(3)
    assert np.array_equal(places(one.draw(5)), places(two.draw(5)))
    assert not np.array_equal(places(one.draw(5)), places(one.draw(6)))
    assert not np.array_equal(places(one.draw(5)), places(pool(seed=2).draw(5)))
    assert not np.array_equal(places(one.draw(5)), places(pool(seed=1 + 2**32).draw(5)))


def test_a_pool_that_was_filled_anew_is_the_same():
    going, resumed = pool(range(11)), pool(range(7, 11))
    assert {*places(going.draw(2))[..., 0].ravel()} == {7, 8, 9, 10}
    assert np.array_equal(places(going.draw(2)), places(resumed.draw(2)))


def test_hosts_draw_what_one_host_would():
    whole = places(pool(devices=2).draw(9))
    parts = [places(pool(rows=rows, devices=1).draw(9))[0] for rows in ((0, 2), (2, 4))]
    assert np.array_equal(whole, np.stack(parts))


def test_draws_are_uniform():
    made = pool(rows=(0, 1), draws=1000)
    counts = collections.Counter()
    for step in range(200):
        counts.update(map(tuple, places(made.draw(step))[0].tolist()))
    assert len(counts) == 4 * L
    # 200,000 draws of 200: the number of each is Poisson-distributed, almost.
    numbers = np.array(list(counts.values()))
    assert abs(numbers - 1000).max() < 5 * np.sqrt(1000)
    chi_squared = ((numbers - 1000) ** 2 / 1000).sum()
    assert abs(chi_squared - 199) < 4 * np.sqrt(2 * 199)


def test_only_scored_samples_are_drawn():
    made = pool(range(3), rows=(0, 3), stop=[30, 0, L], first=10)
    made.add(3, batch(3, (0, 3), stop=[UNREADABLE, UNREADABLE, 11], first=10))
    seen = np.concatenate([places(made.draw(step))[0] for step in range(50)])
    stops = np.concatenate([made.draw(step)["stop"][0] for step in range(50)])
    for row, ends in ((0, [30, 30, 30, 0]), (2, [L, L, L, 11])):
        of_row = {tuple(place) for place in seen[(seen[:, 1] == row) & (stops == 1)].tolist()}
        expected = {(b, row, i) for b, end in enumerate(ends) for i in range(10, end)}
        assert of_row == expected
    # A row of which nothing could be read has no weight.
    assert np.array_equal(stops.reshape(50, 3, N)[:, :, 0], np.tile([1, 0, 1], (50, 1)))


def test_the_schedule():
    schedule = PoolSchedule(num_batches=3, samples_per_step=100, batch_samples=200, reuse=4)
    assert schedule.batches(0) == range(0, 3)
    assert schedule.batches(7) == range(0, 3) and schedule.batches(8) == range(1, 4)
    # Over a long time each sample is drawn as often as was asked for.
    steps = 10_000
    assert schedule.batches(steps).start * 200 * 4 == steps * 100
    still = dataclasses.replace(schedule, reuse=None)
    assert still.batches(10**9) == range(0, 3)


def _config(*args):
    return train.run_config(
        parsed("--demo", "--predictors=adaptive", "--batch_size=4", "--chunk_size=64", *args)
    )


def test_the_pool_of_a_run():
    config = _config("--feature_pool=1000", "--feature_reuse=2", "--samples_per_step=32")
    schedule = make_schedule(config, 10**6)
    assert schedule == PoolSchedule(num_batches=4, samples_per_step=32, batch_samples=256, reuse=2)
    assert schedule.describe(padding=0.0) == (
        "1,024 samples of the last 4 batches; a step draws 32 at random, so each 2 times, and a "
        "batch is read every 16.0 steps"
    )
    assert schedule.describe(padding=0.75) == (
        "256 samples of the last 4 batches; a step draws 32 at random, so each 8 times (75% of the "
        "chunks is padding: a smaller --chunk_size reads more), and a batch is read every 16.0 "
        "steps"
    )
    # A corpus that fits is read once.
    small = make_schedule(config, 11)
    assert small.num_batches == 3 and small.reuse is None
    assert small.describe(padding=0.0) == (
        "768 samples, the whole corpus; a step draws 32 at random"
    )
    assert make_schedule(_config("--feature_pool=0"), 100) is None
    transformer = train.run_config(parsed("--demo"))
    assert make_schedule(transformer, 100) is None


def test_settings_that_are_refused():
    with pytest.raises(ConfigError, match=r"--samples_per_step=30 must be .* the next is 32$"):
        _config("--samples_per_step=30")
    with pytest.raises(ConfigError, match="--feature_pool=5 is without effect with"):
        train.run_config(parsed("--demo", "--feature_pool=5"))
