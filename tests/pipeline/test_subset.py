"""A part of a corpus is an even draw, and stays one as files come and go."""

import dataclasses

import numpy as np
import pytest

from pipeline.catalogue.catalogue import Catalogue
from pipeline.config import PipelineConfig
from pipeline.reading.chunk_index import Chunks
from pipeline.subset import draw_chunks
from pipeline.wav.encoding import Encoding
from tests.files import make_files

L = 10
RNG = np.random.default_rng(0)
NAMES = [f"folder{i // 100:02}/{i:04}.wav" for i in range(1700)]
FRAMES = RNG.integers(1, 400, len(NAMES))


def corpus(names=NAMES, frames=FRAMES, channels=1, **config) -> Chunks:
    files = make_files([f"/root/{name}" for name in names], frames, channels, Encoding.S16)
    return Chunks(catalogue=Catalogue(files=files), config=PipelineConfig(chunk_size=L, **config))


def stretches(chunks: Chunks) -> dict[str, tuple[int, int]]:
    """The frames [begin, end) that are kept of each file."""
    files = chunks.catalogue
    begins = (files.offsets - 44) // (2 * files.channels)
    return dict(zip(files.names, zip(begins, begins + files.frames, strict=True), strict=True))


@pytest.mark.parametrize("limit", [1, 100, 5000, 34_000])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_each_file_keeps_the_same_share(limit, channels):
    whole = corpus(channels=channels, downmix=False)
    drawn = draw_chunks(whole, limit, seed=1)
    assert limit - 2 < len(drawn) <= limit
    share = limit / len(whole)
    counts = dict(zip(whole.catalogue.names, np.diff(whole.first), strict=True))
    kept = dict(zip(drawn.catalogue.names, np.diff(drawn.first), strict=True))
    assert all(abs(kept.get(name, 0) - share * count) < 1.01 for name, count in counts.items())
    folders = {name[:8] for name in kept}
    assert len(folders) == min(17, limit) or (limit == 100 and len(folders) > 14)
    assert list(kept) == sorted(kept)


def test_a_stretch_is_whole_chunks_within_its_file():
    whole = corpus()
    drawn = draw_chunks(whole, 5000, seed=1)
    lengths = dict(zip(NAMES, FRAMES, strict=True))
    for name, (begin, end) in stretches(drawn).items():
        assert begin % L == 0
        assert 0 <= begin < end <= lengths[name]
        assert end % L == 0 or end == lengths[name]
    # Stretches begin anywhere: they do not favour the beginnings of files.
    middles = [sum(ends) / 2 / lengths[name] for name, ends in stretches(drawn).items()]
    assert 0.45 < np.mean(middles) < 0.55


def test_other_files_only_shorten_a_stretch_and_a_higher_limit_only_lengthens_it():
    every, some = stretches(draw_chunks(corpus(), 5000, seed=1)), NAMES[::2]
    fewer = stretches(draw_chunks(corpus(some, FRAMES[::2]), 5000, seed=1))
    more = stretches(draw_chunks(corpus(), 20_000, seed=1))
    for larger in (fewer, more):
        for name in set(every) & set(some):
            assert larger[name][0] <= every[name][0] < every[name][1] <= larger[name][1]


def test_the_draw_never_changes():
    drawn = draw_chunks(corpus(NAMES[:6], np.full(6, 95)), 11, seed=42)
    expected = [(70, 90), (60, 80), (70, 90), (90, 95), (50, 70), (80, 95)]
    assert list(stretches(drawn).values()) == expected


def test_seeds_draw_other_chunks():
    one, other = (stretches(draw_chunks(corpus(), 5000, seed=seed)) for seed in (1, 2))
    assert one != other


def test_a_limit_that_is_not_reached_changes_nothing():
    whole = corpus()
    assert draw_chunks(whole, len(whole), seed=1) is whole
    assert len(draw_chunks(whole, len(whole) - 1, seed=1)) == len(whole) - 1


def test_files_of_one_name_still_leave_a_chunk():
    assert len(draw_chunks(corpus(["a.wav"] * 3, 400), 1, seed=1)) == 1


def test_a_side_of_a_split_is_drawn_from():
    whole = corpus()
    side = dataclasses.replace(whole, catalogue=whole.catalogue.select(np.arange(5, 1700, 3)))
    drawn = draw_chunks(side, 500, seed=1)
    assert len(drawn) == 500
    assert set(drawn.catalogue.names) <= set(NAMES[5::3])
