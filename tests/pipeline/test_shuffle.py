import collections
import math

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from benchmarks.shuffle_quality import measure
from benchmarks.shuffle_quality import stream as stream_of_files
from pipeline.config import PipelineConfig, default_chunks_per_read
from pipeline.shuffle import ShuffledOrder, hash_key, permute

pytestmark = pytest.mark.both_stacks

# (T, B, S, K): an epoch of many windows; one that fills no window; batches that do not divide it;
# fewer chunks than rows; runs cut by windows.
SHAPES = [
    (1000, 8, 4, 16),
    (1003, 8, 4, 16),
    (64, 8, 1, 1),
    (97, 10, 5, 5),
    (30, 8, 16, 64),
    (5, 8, 4, 8),
    (1, 4, 2, 2),
    (7, 1, 3, 3),
    (500, 3, 8, 21),
]

GOLDEN_START = [721, 751, 953, 60, 145, 340, 410, 541, 718, 754, 968, 57]
GOLDEN_LATER = [
    1000057,
    1000221,
    1000322,
    1000484,
    1000536,
    1000743,
    1000802,
    1000967,
    1000107,
    1000230,
    1000320,
    1000432,
]
GOLDEN_DEFAULTS = [
    145671,
    149804,
    151046,
    156481,
    157995,
    164783,
    166582,
    171468,
    174220,
    176809,
    181514,
    184413,
]


def order(shape, seed=42) -> ShuffledOrder:
    total, batch, run_length, window = shape
    return ShuffledOrder(
        num_chunks=total, batch_size=batch, run_length=run_length, window=window, seed=seed
    )


def stream(order: ShuffledOrder, first: int, last: int) -> np.ndarray:
    """The occurrences at positions [first, last) of the endless stream."""
    position = np.arange(first, last, dtype=np.int64)
    return order.occurrences(position // order.batch_size, position % order.batch_size)


class Reference:
    """The order again, one position at a time and in Python's own integers."""

    def __init__(self, order: ShuffledOrder):
        self.order = order

    def occurrence(self, step: int, row: int) -> int:
        order = self.order
        epoch, place = divmod(step * order.batch_size + row, order.num_chunks)
        turn, lane = divmod(place, order.batch_size)
        start, end = step - turn, step - turn + self.lane_length(lane)

        window = step // order.window
        inside = [s for s in range(start, end) if s // order.window == window]
        shard_key = chain(self.epoch_key(epoch), lane)
        step = inside[cipher(inside.index(step), len(inside), chain(shard_key, window))]

        whole = [
            run
            for run in range(start // order.run_length, end // order.run_length + 1)
            if start <= run * order.run_length and (run + 1) * order.run_length <= end
        ]
        run, rest = divmod(step, order.run_length)
        if run in whole:
            run = whole[self.spread(whole.index(run), len(whole), chain(shard_key, -1))]
        before = sum(map(self.lane_length, range(lane)))
        return epoch * order.num_chunks + (
            (before + run * order.run_length + rest - start + self.turn(epoch)) % order.num_chunks
        )

    def spread(self, index: int, size: int, key: int) -> int:
        parts = math.ceil(self.order.window / self.order.run_length)
        lengths = [len(range(part, size, parts)) for part in range(parts)]  # The longer ones first.
        turn, residue = divmod(index, parts)
        alike = [part for part in range(parts) if lengths[part] == lengths[residue]]
        part = alike[cipher(alike.index(residue), len(alike), key)]
        return sum(lengths[:part]) + cipher(turn, lengths[part], chain(key, part))

    def lane_length(self, lane: int) -> int:
        return len(range(lane, self.order.num_chunks, self.order.batch_size))

    def turn(self, epoch: int) -> int:
        key = self.epoch_key(epoch)
        return (chain(key, -1) << 30) + chain(key, -2)

    def epoch_key(self, epoch: int) -> int:
        return chain(0, self.order.seed, self.order.seed >> 32, epoch)


def cipher(index: int, size: int, key: int) -> int:
    left_size = math.isqrt(size) + 1
    right_size = math.ceil(size / left_size)
    while True:
        left, right = divmod(index, right_size)
        for number in (0, 2, 4, 6):
            left = (left + mix(right, key, number)) % left_size
            right = (right + mix(left, key, number + 1)) % right_size
        index = left * right_size + right
        if index < size:
            return index


def chain(key: int, *parts: int) -> int:
    for number, part in enumerate(parts):
        key = mix(part & 0xFFFFFFFF, key, number)
    return key


def mix(value: int, key: int, number: int) -> int:
    value = (value + (key ^ (number * 0x9E3779B9 & 0xFFFFFFFF))) & 0xFFFFFFFF
    value = ((value ^ value >> 16) * 0x21F0AAAD) & 0xFFFFFFFF
    value = ((value ^ value >> 15) * 0x735A2D97) & 0xFFFFFFFF
    return value ^ value >> 15


@pytest.mark.parametrize("seed", [0, 42, 2**63 + 5])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_is_the_one_described(shape, seed):
    tested = order(shape, seed)
    reference = Reference(tested)
    for first in (0, 10**9):
        steps = np.arange(first, first + 2 * tested.window + 3)
        expected = [
            reference.occurrence(int(step), row)
            for step in steps
            for row in range(tested.batch_size)
        ]
        begin = first * tested.batch_size
        assert stream(tested, begin, begin + len(expected)).tolist() == expected


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_chunk_comes_once_an_epoch(shape, seed):
    total = shape[0]
    occurrences = stream(order(shape, seed), 0, 3 * total).reshape(3, total)
    np.testing.assert_array_equal(np.sort(occurrences), np.arange(3 * total).reshape(3, total))


@pytest.mark.parametrize("shape", [SHAPES[0], SHAPES[1], SHAPES[4]])
def test_seeds_and_epochs_have_orders_of_their_own(shape):
    total = shape[0]
    epochs = np.concatenate(
        [stream(order(shape, seed), 0, 3 * total) for seed in (0, 1, 2**32, 2**32 + 1)]
    )
    orders = {tuple(epoch % total) for epoch in epochs.reshape(-1, total)}
    assert len(orders) == 12
    np.testing.assert_array_equal(stream(order(shape), 0, total), stream(order(shape), 0, total))


def test_the_order_never_changes_between_versions_and_machines():
    def chunks(total, batch, run_length, window, seed, first):
        tested = order((total, batch, run_length, window), seed)
        return stream(tested, first, first + 12).tolist()

    assert chunks(1000, 8, 4, 16, 42, 0) == GOLDEN_START
    assert chunks(1003, 8, 4, 16, 2**40 + 7, 10**6) == GOLDEN_LATER
    # 488,281 chunks, batches of 128 and chunks of 2048 samples are the defaults.
    assert chunks(488281, 128, 8, 256, 42, 0) == GOLDEN_DEFAULTS


@pytest.mark.parametrize("shape", [(1600, 8, 4, 16), (1003, 8, 4, 16), (5, 8, 4, 8)])
@pytest.mark.parametrize("rows", [(0, 8), (2, 4), (7, 8)])
def test_a_window_holds_its_steps_one_after_the_other(shape, rows):
    tested = order(shape)
    for window in (0, 3, 1000):
        first = window * tested.window * 8
        expected = stream(tested, first, first + tested.window * 8).reshape(-1, 8)[:, slice(*rows)]
        steps = window * tested.window, (window + 1) * tested.window
        actual = tested.batch_occurrences(steps, rows)
        np.testing.assert_array_equal(actual, expected.reshape(-1))


def test_a_batch_holds_a_chunk_of_each_stretch_of_the_corpus():
    tested = order((800, 8, 4, 16))
    turns = [Reference(tested).turn(epoch) for epoch in range(2)]
    batches = stream(tested, 0, 1600).reshape(2, 100, 8)
    for batch, turn in zip(batches, turns, strict=True):
        stretches = (batch % 800 - turn % 800) % 800 // 100
        np.testing.assert_array_equal(np.sort(stretches), np.broadcast_to(np.arange(8), (100, 8)))


def test_a_window_is_few_runs_of_consecutive_chunks():
    tested = order((8 * 64 * 20, 8, 16, 64))
    for window in range(20):
        occurrences = np.sort(tested.batch_occurrences((window * 64, (window + 1) * 64), (0, 8)))
        runs = 1 + np.count_nonzero(np.diff(occurrences) != 1)
        assert runs <= 8 * 64 / 16 + 1  # One more where the ring of chunks is closed.


def test_a_window_takes_a_run_of_each_part_of_a_shard():
    tested = order((8 * 64 * 16, 8, 4, 64))  # 16 windows of 16 runs, of 128 to 256 a shard.
    first = Reference(tested).turn(0)
    for window in range(16):
        occurrences = tested.batch_occurrences((window * 64, (window + 1) * 64), (0, 8))
        place = (occurrences - first) % tested.num_chunks
        parts = np.unique(place // 64, return_counts=True)
        np.testing.assert_array_equal(parts, [np.arange(128), np.full(128, 4)])


@pytest.mark.parametrize("num_chunks", [488_281, 2000 * 5168])
def test_long_files_are_shuffled_nearly_as_by_a_uniform_draw(num_chunks):
    config = PipelineConfig()
    tested = order((num_chunks, config.batch_size, config.chunks_per_read, config.window))
    quality = measure(stream_of_files(tested, 2000, 6400), 2000)
    assert quality.fewest >= 1700
    assert quality.files > 1900  # 1,967 by a uniform draw.
    assert max(abs(quality.lag_1), abs(quality.lag_32)) < 0.1
    assert quality.scatter < 1.3


def test_what_latency_allows():
    reads = [default_chunks_per_read(2048, remote=remote) for remote in (False, True)]
    assert reads == [8, 64]
    config = PipelineConfig(chunks_per_read=64)
    quality = measure(
        stream_of_files(order((2000 * 5168, 128, 64, config.window)), 2000, 6400), 2000
    )
    assert quality.fewest > 450
    assert quality.lag_1 < 0.4


def test_neighbours_in_the_corpus_are_apart_in_the_stream():
    occurrences = stream(order((6400, 8, 4, 64)), 0, 6400)
    steps = np.empty(6400, np.int64)
    steps[occurrences] = np.arange(6400) // 8
    distances = np.abs(np.diff(steps))
    assert distances.mean() > 16  # Of 21 where the 64 steps of a window are in random order.
    assert np.mean(distances <= 1) < 0.1


@hypothesis.given(st.integers(1, 3000), st.integers(0, 2**32 - 1))
@hypothesis.settings(deadline=None)
def test_permute_is_a_bijection(size, key):
    image = permute(np.arange(size), np.full(size, size), np.full(size, key))
    np.testing.assert_array_equal(np.sort(image), np.arange(size))


@pytest.mark.parametrize("size", [2**31, 10**12 + 39, 2**53 - 1])
def test_permute_of_large_sets(size):
    index = np.concatenate([np.arange(1000), size - 1 - np.arange(1000)])
    image = permute(index, np.full(2000, size), hash_key(np.zeros(2000, np.int64), 1))
    assert len(set(image.tolist())) == 2000
    assert 0 <= image.min() < 0.01 * size < 0.99 * size < image.max() < size


@pytest.mark.parametrize("size", [2, 3, 5, 12])
def test_permutations_of_many_keys_are_uniform(size):
    keys = hash_key(0, np.arange(20_000))
    sizes = np.full(20_000, size)
    for index in (0, size - 1):
        counts = np.bincount(permute(np.full(20_000, index), sizes, keys))
        expected = 20_000 / size
        chi_squared = np.sum((counts - expected) ** 2 / expected)
        assert chi_squared < (size - 1) + 5 * math.sqrt(2 * (size - 1)) + 5


def test_all_permutations_of_four_come_up():
    keys = np.repeat(hash_key(0, np.arange(2400)), 4)
    index = np.tile(np.arange(4), 2400)
    images = permute(index, np.full(9600, 4), keys)
    counts = collections.Counter(map(tuple, images.reshape(-1, 4).tolist()))
    assert len(counts) == 24
    assert 50 < min(counts.values()) <= max(counts.values()) < 150


@pytest.mark.parametrize("name", ["num_chunks", "batch_size", "run_length", "window", "seed"])
def test_bad_values_are_refused(name):
    values = {"num_chunks": 1, "batch_size": 1, "run_length": 1, "window": 1, "seed": 0}
    ShuffledOrder(**values)
    with pytest.raises(ValueError, match=f"{name} must be at least .*, got {values[name] - 1}"):
        ShuffledOrder(**{**values, name: values[name] - 1})
