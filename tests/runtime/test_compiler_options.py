"""Options that compile faster give the same results, or none."""

from typing import Any

import jax
import numpy as np
import pytest

from models.build import build_model
from models.config import AdaptiveModelConfig, ModelConfig, TransformerConfig
from runtime import compiler_options
from runtime.compiler_options import least_options, light_options
from training.config import TrainingConfig
from training.state import initial_state, make_init


@pytest.fixture
def forget() -> Any:
    for options in (least_options, light_options):
        options.cache_clear()
    yield
    for options in (least_options, light_options):
        options.cache_clear()


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(network=TransformerConfig(embedding_dim=24, num_layers=2, num_heads=4)),
        AdaptiveModelConfig(),
    ],
    ids=["transformer", "perceptron"],
)
def test_parameters_are_the_same(config: ModelConfig | AdaptiveModelConfig) -> None:
    model, training, key = build_model(config), TrainingConfig(), jax.random.key(7)
    expected = jax.jit(lambda key: initial_state(model.init(key), training))(key)
    found = make_init(model, training)(key)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.usefixtures("forget")
def test_this_xla_knows_them() -> None:
    assert least_options() and light_options()


@pytest.mark.usefixtures("forget")
def test_what_a_later_xla_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler_options, "_LEAST", {"xla_of_another_time": True})
    assert least_options() is None


@pytest.mark.usefixtures("forget")
def test_an_accelerator_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend() -> str:
        return "tpu"

    monkeypatch.setattr(jax, "default_backend", backend)
    assert least_options() is None and light_options() is None
