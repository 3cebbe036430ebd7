"""The state of training, and its arrays by path."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runtime.errors import TrainingError
from runtime.parallel import replicate
from training.config import TrainingConfig
from training.state import LoopState, init_state, initial_state, restore_state, state_arrays

pytestmark = pytest.mark.both_stacks

CONFIG = TrainingConfig()
PARAMS = {"blocks_0": {"qkv": {"kernel": jnp.arange(6.0).reshape(2, 3)}}, "bias": jnp.ones(3)}


def test_arrays_have_the_paths_of_the_model_file():
    arrays = state_arrays(init_state(PARAMS, CONFIG))
    kernel = arrays["params/blocks_0/qkv/kernel"]
    np.testing.assert_array_equal(kernel, PARAMS["blocks_0"]["qkv"]["kernel"])
    assert arrays["step"] == 0
    others = arrays.keys() - {"params/blocks_0/qkv/kernel", "params/bias", "step"}
    assert all(path.startswith("opt_state/") for path in others)
    assert sum(path.endswith("/blocks_0/qkv/kernel") for path in others) == 2  # Adam's moments.


def test_a_state_is_restored():
    state = init_state(PARAMS, CONFIG)
    shapes = jax.eval_shape(lambda: initial_state(PARAMS, CONFIG))
    restored = replicate(restore_state(state_arrays(state), shapes))
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    jax.tree.map(np.testing.assert_array_equal, restored, state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"params/bias": np.zeros(4, np.float32)}, r"params/bias is \(\(4,\), dtype.* expected "),
        ({"params/other": np.zeros(4)}, r"params/other is .*, expected nothing"),
        ({"step": None}, "step is missing, expected"),
    ],
)
def test_arrays_of_another_model_are_refused(change, message):
    arrays = {**state_arrays(init_state(PARAMS, CONFIG)), **change}
    arrays = {path: array for path, array in arrays.items() if array is not None}
    with pytest.raises(TrainingError, match=f"the checkpoint does not fit the model: {message}"):
        restore_state(arrays, initial_state(PARAMS, CONFIG))


def test_the_state_of_the_loop_is_json():
    state = LoopState(
        step=3, sums={"nats": 0.1, "steps": 3}, best_bits_per_sample=2.5, must_validate=True
    )
    assert LoopState(**json.loads(json.dumps(dataclasses.asdict(state)))) == state
