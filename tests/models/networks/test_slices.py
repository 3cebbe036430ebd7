"""A batch in slices gives what the batch gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from models.networks.slices import map_slices, positions_at_once


class _Sliced(nn.Module):
    positions: int

    def setup(self):
        self.dense = nn.Dense(3)

    def __call__(self, inputs):
        return map_slices(
            self, lambda self, part: self.dense(part["x"]) / part["scale"], inputs, self.positions
        )


@pytest.mark.parametrize("positions", [1, 10, 35, 1000])
def test_the_same_values_and_gradients_whatever_is_computed_at_once(positions):
    rng = np.random.default_rng(0)
    inputs = {
        "x": jnp.asarray(rng.normal(size=(7, 10, 2)), jnp.float32),
        "scale": jnp.asarray(rng.uniform(1, 2, (7, 10, 1)), jnp.float32),
    }
    module = _Sliced(positions)
    params = module.init(jax.random.key(0), inputs)
    kernel = params["params"]["dense"]["kernel"]
    found = module.apply(params, inputs)
    np.testing.assert_allclose(found, inputs["x"] @ kernel / inputs["scale"], rtol=1e-5)
    gradient = jax.grad(lambda params: module.apply(params, inputs).sum())(params)
    # Padded rows, whose scale is none of the batch, add nothing.
    expected = (inputs["x"] / inputs["scale"]).sum((0, 1))
    np.testing.assert_allclose(
        gradient["params"]["dense"]["kernel"], np.stack([expected] * 3, 1), rtol=1e-4
    )


def test_wide_networks_compute_fewer_samples_at_once():
    assert positions_at_once("cpu", 64) == 1
    assert positions_at_once("tpu", 64) == 2**15
    assert positions_at_once("tpu", 1024) == 2**13
