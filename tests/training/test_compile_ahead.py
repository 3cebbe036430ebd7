"""Steps that are compiled in the background, before anyone knows what they will be given."""

import functools

import jax
import numpy as np
import pytest

from commands import train
from commands.run_flag_file import as_flagfile
from models.build import build_model
from tests.command_line import parsed
from tests.toy_model import Unigram
from tests.wav_files import write_noise
from training.compile_ahead import compile_ahead
from training.run import run

pytestmark = pytest.mark.both_stacks


@pytest.fixture
def audio(tmp_path):
    """Returns a folder of five files."""
    folder = tmp_path / "audio"
    folder.mkdir()
    write_noise(folder, 5000)
    return folder


def _run(audio, model, name, *args, ahead):
    small = ("--chunk_size=512", "--batch_size=4", "--shuffle_window=1", "--training_steps=3")
    output_dir = audio.parent / name
    values = parsed(*small, f"--audio_dir={audio}", f"--output_dir={output_dir}", *args)
    config = train.run_config(values)
    model = model or build_model(train.make_model_config(values))
    steps = compile_ahead(model, config) if ahead else None
    return run(config, model, as_flagfile(values), steps=steps)


@pytest.mark.parametrize(
    "args",
    [
        ("--bit_depth=16",),
        ("--predictors=adaptive", "--feature_pool=2000", "--samples_per_step=64", "--mlp_width=8"),
        ("--predictors=adaptive", "--feature_pool=0", "--mlp_width=8", "--seed=5"),
    ],
)
def test_a_run_is_the_same_as_with_steps_that_are_compiled_when_they_are_called(audio, args):
    model = Unigram(16) if "--bit_depth=16" in args else None
    ahead = _run(audio, model, "ahead", *args, ahead=True)
    if model is not None:
        assert model.traces == 2  # Of training and of validation: nothing is compiled again.
    expected = _run(audio, model, "plain", *args, ahead=False)
    jax.tree.map(np.testing.assert_array_equal, ahead.params, expected.params)
    assert ahead.valid["valid/loss"] == expected.valid["valid/loss"]


def test_a_transformer_is_the_same_but_for_rounding(audio):
    """It is compiled with other options."""
    small = ("--embedding_dim=8", "--num_layers=1", "--num_heads=2")
    ahead, expected = (
        _run(audio, None, str(ahead), *small, ahead=ahead) for ahead in (True, False)
    )
    close = functools.partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-5)
    jax.tree.map(close, ahead.params, expected.params)
    close(ahead.valid["valid/loss"], expected.valid["valid/loss"])


def test_what_is_raised_in_the_background_comes_from_the_step(audio):
    class WrongInValidation(Unigram):
        def log_likelihood(self, params, inputs):
            if self.traces:
                raise ValueError("no such likelihood")
            return super().log_likelihood(params, inputs)

    with pytest.raises(ValueError, match="no such likelihood"):
        _run(audio, WrongInValidation(), "wrong", ahead=True)


def test_what_tracing_raises_is_raised(audio):
    class Wrong(Unigram):
        def log_likelihood(self, params, inputs):
            raise ValueError("no such likelihood")

    with pytest.raises(ValueError, match="no such likelihood"):
        _run(audio, Wrong(), "wrong", ahead=True)
