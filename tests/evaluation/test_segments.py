"""Whole files in segments, each coded alone."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from evaluation.config import EvaluationConfig
from evaluation.run import run
from evaluation.score import evaluate
from pipeline.catalogue.catalogue import build_catalogue
from pipeline.config import PipelineConfig
from pipeline.error_budget import ErrorBudget
from pipeline.wav.encoding import Encoding
from runtime.errors import ConfigError, DataError
from tests.toy_model import Unigram
from tests.wav_files import write_wav

CONFIG = PipelineConfig(chunk_size=64, batch_size=4, downmix=False)


class Segments(Unigram):
    """The first frame of a segment costs 8 bits a sample, each later one 1."""

    def __init__(self, depth: int = 8) -> None:
        super().__init__(depth)
        self.seen: list[tuple[int, ...]] = []

    def segment_costs(self, params, frames):
        self.seen.append(frames.shape)
        bits = np.ones(frames.shape, np.float32)
        bits[0] = 8.0
        return {"sample": bits * np.float32(math.log(2))}


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, frames, channels in (("a", 1000, 1), ("b", 300, 2), ("c", 5, 3)):
        write_wav(
            tmp_path / f"{name}.wav",
            rng.integers(-(2**15), 2**15, (frames, channels)),
            Encoding.S16,
        )
    return tmp_path


def test_each_sample_counts_once_and_segments_are_cut_at_frames(folder):
    model = Segments()
    result = evaluate(model, {}, build_catalogue([str(folder)]), CONFIG, segment=400)
    assert sorted(model.seen) == [(5, 3), (200, 1), (300, 2), (400, 1), (400, 1)]
    assert list(result.samples) == [1000, 600, 15]
    assert result.model_bits == pytest.approx([1000 + 3 * 7, 600 + 2 * 7, 15 + 3 * 7], rel=1e-6)
    assert result.by_position.edges[-1] == 400
    assert result.by_position.samples.sum() == result.by_loudness.samples.sum() == 1615
    assert result.by_position.samples[0] == 3 + 2 + 3
    assert result.by_position.bits[0] == pytest.approx(8 * 8)


def test_files_shorter_than_a_segment_bound_the_positions(folder):
    result = evaluate(Segments(), {}, build_catalogue([str(folder)]), CONFIG, segment=2**20)
    assert result.by_position.edges[-1] == 1000
    assert result.model_bits.sum() == pytest.approx(1615 + 7 * 6, rel=1e-6)


def test_a_file_that_shrinks_is_skipped_whole_and_counted(folder):
    catalogue = build_catalogue([str(folder)])
    path = folder / "a.wav"
    path.write_bytes(path.read_bytes()[:900])
    budget = ErrorBudget(3, (), strict=False, max_fraction=0.5)
    result = evaluate(Segments(), {}, catalogue, CONFIG, segment=400, error_budget=budget)
    assert list(result.names) == ["b.wav", "c.wav"]
    assert [skipped.path for skipped in result.skipped] == [str(path)]
    strict = ErrorBudget(3, (), strict=True, max_fraction=0.5)
    with pytest.raises(DataError, match=r"a\.wav"):
        evaluate(Segments(), {}, catalogue, CONFIG, segment=400, error_budget=strict)


def test_segments_and_chunks_are_for_their_models():
    with pytest.raises(ConfigError, match=r"--segment=5.*chunks"):
        run(EvaluationConfig(model="m.npz", segment=5, codecs=()), Unigram(), {}, {})
    with pytest.raises(ConfigError, match=r"--chunked.*segments"):
        run(EvaluationConfig(model="m.npz", chunked=True, codecs=()), Segments(), {}, {})


def test_a_cost_that_is_not_finite_names_the_file(folder):
    class Diverged(Segments):
        def segment_costs(self, params, frames):
            return {"sample": np.full(frames.shape, jnp.inf, np.float32)}

    with pytest.raises(DataError, match=r"a\.wav.*diverged"):
        evaluate(Diverged(), {}, build_catalogue([str(folder)]), CONFIG, segment=400)
