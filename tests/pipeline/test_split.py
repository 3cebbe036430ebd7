"""Which files are held out, now and ever after."""

import dataclasses

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from pipeline.catalogue.catalogue import Catalogue, Skipped
from pipeline.split import draw_files, is_trained_on, split_catalogue
from pipeline.wav.encoding import Encoding
from tests.files import make_files

pytestmark = pytest.mark.both_stacks

NAMES = [f"speaker{i % 100}/{i}.wav" for i in range(10_000)]


def catalogue(names, frames=1000, channels=2, encoding=Encoding.S24) -> Catalogue:
    files = make_files([f"/root/{name}" for name in names], frames, channels, encoding)
    return Catalogue(files=files, skipped=(Skipped("/root/x.wav", "empty"),))


def sides(names, fraction=0.2, seed=42) -> tuple[list[str], list[str]]:
    train, valid = split_catalogue(catalogue(names), valid_fraction=fraction, seed=seed)
    return list(train.names), list(valid.names)


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9])
def test_the_fraction_is_respected(fraction):
    _, valid = sides(NAMES, fraction)
    deviation = np.sqrt(len(NAMES) * fraction * (1 - fraction))
    assert abs(len(valid) - fraction * len(NAMES)) < 4 * deviation


def test_every_file_is_on_one_side_in_catalogue_order():
    names = NAMES[::-1]
    train, valid = sides(names)
    assert sorted(train + valid) == sorted(names)
    assert train == [name for name in names if name in set(train)]
    assert valid == [name for name in names if name in set(valid)]


def test_the_split_never_changes_between_versions_and_machines():
    names = ["a.wav", "b/c.wav", "ü.wav", "not\udcffutf8.wav", "new\nline.wav", "f.wav", "g.wav"]
    assert sides(names, 0.5, seed=7)[1] == ["ü.wav", "not\udcffutf8.wav"]


@hypothesis.given(
    st.sets(st.sampled_from(NAMES[:300]), min_size=60), st.sampled_from([0.2, 0.5]), st.integers(0)
)
def test_files_that_come_and_go_move_no_other(names, fraction, seed):
    all_train, all_valid = (set(side) for side in sides(NAMES[:300], fraction, seed))
    train, valid = (set(side) for side in sides(sorted(names), fraction, seed))
    if train & all_train and valid & all_valid:  # else a side was empty and a file had to cross
        assert train <= all_train and valid <= all_valid


def test_another_seed_holds_out_other_files():
    assert set(sides(NAMES, seed=1)[1]) != set(sides(NAMES, seed=2)[1])


@hypothesis.given(
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=5),
    st.sampled_from([1e-6, 0.5, 0.999999]),
)
def test_two_files_or_more_give_each_side_one(names, fraction):
    train, valid = sides(names, fraction)
    assert train and valid
    assert sorted(train + valid) == sorted(names)


def test_the_file_nearest_the_threshold_crosses():
    names = NAMES[:10]
    (first,) = sides(names, 1e-9)[1]
    (last,) = sides(names, 1 - 1e-9)[0]
    # As the threshold rises from one end to the other, files become held out one by one.
    for fraction in np.linspace(0.01, 0.99, 50):
        train, valid = sides(names, fraction)
        assert first in valid and last in train


def test_the_same_name_in_two_folders_shares_a_side():
    train, valid = sides(NAMES + NAMES)
    assert not set(train) & set(valid)


@pytest.mark.parametrize(
    "frames, fraction, held_out",
    [(1000, 0.2, 200), (7, 0.5, 4), (1000, 1e-6, 1), (1000, 0.9999, 999), (2, 0.2, 1), (1, 0.9, 0)],
)
def test_a_single_file_is_split_in_time(frames, fraction, held_out):
    whole = catalogue(["a.wav"], frames)
    train, valid = split_catalogue(whole, valid_fraction=fraction, seed=1)
    assert train.frames.tolist() == [frames - held_out]
    assert train.offsets.tolist() == [44]
    assert valid.frames.tolist() == [held_out] * (held_out > 0)
    assert valid.offsets.tolist() == [44 + 6 * (frames - held_out)] * (held_out > 0)
    assert valid.frames.dtype == valid.offsets.dtype == np.int64
    columns = {"offsets": whole.files.offsets, "frames": whole.files.frames}
    assert dataclasses.replace(train.files, **columns).equals(whole.files)


@pytest.mark.parametrize("names", [[], ["a.wav"], ["a.wav", "b.wav"], NAMES])
def test_fraction_zero_holds_nothing_out(names):
    train, valid = sides(names, 0)
    assert (train, valid) == (names, [])


def test_an_empty_corpus_has_two_empty_sides():
    assert sides([]) == ([], [])


def test_skipped_files_stay_known_on_both_sides():
    train, valid = split_catalogue(catalogue(NAMES[:20]), valid_fraction=0.2, seed=1)
    assert train.skipped == valid.skipped == (Skipped("/root/x.wav", "empty"),)


@pytest.mark.parametrize("fraction", [-0.1, 1, float("nan")])
def test_impossible_fractions(fraction):
    with pytest.raises(ValueError, match="expected 0 <= valid_fraction < 1"):
        sides(NAMES[:2], fraction)


def test_files_are_drawn_by_their_names():
    every = catalogue(NAMES)
    drawn = draw_files(every, 100, seed=42)
    assert len(drawn) == 100
    assert list(drawn.names) == sorted(drawn.names, key=NAMES.index)
    assert set(draw_files(every, 99, seed=42).names) < set(drawn.names)
    assert draw_files(every, 100, seed=1).names != drawn.names
    assert draw_files(every, len(NAMES), seed=42) is every
    # Not the files that the split would hold out first.
    train, valid = split_catalogue(every, valid_fraction=0.2, seed=42)
    shares = [len(set(drawn.names) & set(side.names)) for side in (train, valid)]
    assert 60 < shares[0] < 95 and sum(shares) == 100


@pytest.mark.parametrize("seed", [0, 42])
def test_the_training_side_is_known_by_name(seed):
    train, _ = sides(NAMES, 0.2, seed)
    known = is_trained_on(NAMES, valid_fraction=0.2, seed=seed)
    assert [name for name, is_known in zip(NAMES, known, strict=True) if is_known] == train
