"""Mixtures and levels: what they make of batches, and that hosts make the same."""

import numpy as np
import pytest

from models.predictors.channels import channel_indices
from pipeline.config import PipelineConfig
from pipeline.reading.read_chunks import UNREADABLE
from runtime.errors import ConfigError
from training.augmentation import make_augmentation
from training.config import AugmentationConfig

L = 64
PIPELINE = PipelineConfig(
    chunk_size=L, batch_size=4, depth=16, downmix=False, stereo_blocking_n=L // 2
)


def batch(*rows, channels=None, stop=None, devices=1):
    """Chunks of whole files that fill them."""
    size = len(rows)
    channels = np.array(channels or [1] * size, np.int32)
    stop = np.array(stop or [L] * size, np.int32)
    arrays = {
        "samples": np.stack(rows).astype(np.int16),
        "first": np.zeros(size, np.int32),
        "stop": stop,
        "channels": channels,
        "channel": np.zeros(size, np.int32),
        "position": np.zeros(size, np.int64),
        "frames": np.maximum(stop, 0).astype(np.int64) // channels,
        "block": np.full(size, PIPELINE.stereo_blocking_n, np.int32),
    }
    return {name: x.reshape(devices, -1, *x.shape[1:]) for name, x in arrays.items()}


def walks(count, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9000, (count, L))


def augment(config, *, rows=(0, 4), pipeline=PIPELINE):
    return make_augmentation(AugmentationConfig(**config), pipeline, rows)


def frames_of(found, row):
    """Returns the channels of a chunk, [n, C]."""
    names = ("stop", "position", "frames", "channels", "block")
    places = channel_indices(*(int(found[name][0, row]) for name in names))
    return np.stack([found["samples"][0, row, own] for own, _ in places], -1)


def test_a_row_is_mixed_with_its_neighbour():
    rows = walks(2)
    seen = set()
    for number in range(40):
        found = augment({"mix_probability": 1.0}, rows=(0, 2))(number, batch(*rows))
        for row in (0, 1):
            mixed = frames_of(found, row)
            seen.add(mixed.shape)
            both = np.stack([rows[row, : len(mixed)], rows[1 - row, : len(mixed)]], -1)
            gains = np.linalg.lstsq(both.astype(float), mixed, rcond=None)[0]
            assert np.abs(both @ gains - mixed).max() < 1  # But for rounding.
            own, other = gains.sum(1)  # Of a panned one, over both sides.
            assert 0.19 < own < 1.01 and 0.04 < other < 1.01
    assert seen == {(L, 1), (L // 2, 2)}


def test_a_mixture_is_a_pure_function_of_seed_and_number():
    made = augment({"mix_probability": 1.0})
    one, again, other = (made(n, batch(*walks(4)))["samples"] for n in (3, 3, 4))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    seeded = PipelineConfig(**{**vars(PIPELINE), "seed": 5})
    reseeded = augment({"mix_probability": 1.0}, pipeline=seeded)(3, batch(*walks(4)))["samples"]
    assert not np.array_equal(one, reseeded)


def test_hosts_and_devices_make_what_one_would():
    config, rows = {"mix_probability": 0.6, "gain_probability": 0.5}, walks(4)
    whole = augment(config)(7, batch(*rows))
    split = augment(config)(7, batch(*rows, devices=2))
    hosts = [augment(config, rows=r)(7, batch(*rows[slice(*r)])) for r in ((0, 2), (2, 4))]
    for name, array in whole.items():
        assert np.array_equal(split[name].reshape(array.shape), array)
        assert np.array_equal(np.concatenate([host[name] for host in hosts], 1), array)
        assert array.dtype == batch(*rows)[name].dtype


def test_levels():
    rows = np.full((4, L), 30000)
    gains = []
    for number in range(50):
        found = augment({"gain_probability": 0.5})(number, batch(*rows))
        assert (found["stop"] == L).all()
        levels = found["samples"][0, :, 0]
        assert (found["samples"][0] == levels[:, np.newaxis]).all()
        gains += (levels / 30000).tolist()
    changed = [gain for gain in gains if gain < 1]
    assert 70 < len(changed) < 130
    assert 0.05 <= min(changed) < 0.15 and max(changed) > 0.9


def test_sums_are_clipped_to_the_depth():
    pipeline = PipelineConfig(**{**vars(PIPELINE), "depth": 8})
    made = augment({"mix_probability": 1.0}, pipeline=pipeline)
    loud = np.full((4, L), 127)
    found = [made(number, batch(*loud)) for number in range(30)]
    assert max(x["samples"].max() for x in found) == 127
    assert min(x["samples"].min() for x in found) >= 0


@pytest.mark.parametrize("config", [{"mix_probability": 1.0}, {"gain_probability": 1.0}])
def test_what_was_scaled_up_keeps_its_steps(config):
    """8 bits in 16: the same as in a pipeline of 8, scaled up."""
    narrow = PipelineConfig(**{**vars(PIPELINE), "depth": 8})
    rows = walks(4) >> 8
    for number in range(10):
        scaled = augment(config)(number, batch(*(rows * 256)))
        plain = augment(config, pipeline=narrow)(number, batch(*rows))
        assert (scaled["samples"] == 256 * plain["samples"].astype(int)).all()
        assert (scaled["stop"] == plain["stop"]).all()


def test_a_mixture_has_the_finer_steps_of_two():
    fine, coarse = walks(2)
    coarse = coarse >> 8 << 8
    for number in range(10):
        found = augment({"mix_probability": 1.0}, rows=(0, 2))(number, batch(fine, coarse))
        assert (found["samples"] & 1).any(-1).all()
        silent = augment({"mix_probability": 1.0}, rows=(0, 2))(number, batch(coarse, 0 * coarse))
        assert not (silent["samples"] & 255).any()


def test_stereo_keeps_its_channels():
    left, right, mono = walks(3)
    stereo = np.concatenate([left[: L // 2], right[: L // 2]])
    for number in range(20):
        rows = batch(stereo, mono, channels=[2, 1])
        found = augment({"mix_probability": 1.0}, rows=(0, 2))(number, rows)
        mixed = frames_of(found, 0)
        assert mixed.shape == (L // 2, 2)
        rest = mixed[:, 0] - mixed[:, 1]  # Where mono is in both, it cancels.
        gain = rest @ (left - right)[: L // 2] / ((left - right)[: L // 2] ** 2).sum()
        assert np.abs(rest - gain * (left - right)[: L // 2]).max() < 1.5


def test_what_cannot_be_mixed_stays():
    rows = walks(4)
    made = augment({"mix_probability": 1.0})
    # One is unreadable, one padding alone: their neighbours have nothing to be mixed with.
    given = batch(*rows, stop=[UNREADABLE, L, L, 0])
    found = made(1, given)
    for name, array in given.items():
        assert np.array_equal(found[name], array), name
    # Half a frame of a block that the chunk does not hold.
    torn = batch(*rows[:2], channels=[3, 1])
    found = augment({"mix_probability": 1.0}, rows=(0, 2))(1, torn)
    assert np.array_equal(found["samples"], torn["samples"])


def test_a_short_neighbour_ends_early():
    rows = walks(2)
    short = rows.copy()
    short[1, 20:] = 0
    for number in range(20):
        found = augment({"mix_probability": 1.0}, rows=(0, 2))(number, batch(*short, stop=[L, 20]))
        mixed = frames_of(found, 0)
        assert len(mixed) in (L, L // 2)
        tail = mixed[20:].sum(1) / rows[0, 20 : len(mixed)]
        assert np.ptp(np.round(tail, 1)) <= 0.3


def test_odd_rows_are_refused():
    with pytest.raises(ConfigError, match="even number of them on each host, got 3; another --b"):
        augment({"mix_probability": 0.3}, rows=(0, 3))
    rows = walks(3)
    alone = augment({"gain_probability": 1.0}, rows=(0, 3))(1, batch(*rows))
    assert (np.abs(alone["samples"]) < np.abs(rows)).any(-1).all()
