"""A batch in microbatches gives what the batch gives."""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.build import build_model
from models.config import ModelConfig, TransformerConfig
from models.microbatches import map_microbatches, suitable_size, sum_microbatches

SIZES = [1, 2, 3, 7, 100, None]
ROWS = 7


@pytest.fixture(scope="module")
def batch() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "x": rng.normal(size=(ROWS, 10, 2)).astype(np.float32),
        "scale": rng.uniform(1, 2, (ROWS, 10, 1)).astype(np.float32),
        "first": np.zeros(ROWS, np.int32),
        "stop": np.arange(ROWS, dtype=np.int32),
    }


def _scaled(batch: Mapping[str, jax.Array]) -> dict[str, jax.Array]:
    return {"scaled": batch["x"] / batch["scale"], "rows": batch["stop"]}


def _loss(weights: jax.Array, batch: Mapping[str, jax.Array]) -> jax.Array:
    values = _scaled(batch)["scaled"] @ weights
    position = jnp.arange(values.shape[-1])
    mask = (batch["first"][:, None] <= position) & (position < batch["stop"][:, None])
    return jnp.where(mask, values, 0).sum()


@pytest.mark.parametrize("size", SIZES)
def test_maps(batch: dict[str, np.ndarray], size: int | None) -> None:
    found = jax.jit(lambda batch: map_microbatches(_scaled, batch, size))(batch)
    np.testing.assert_allclose(found["scaled"], batch["x"] / batch["scale"], rtol=1e-6)
    np.testing.assert_array_equal(found["rows"], np.arange(ROWS))


@pytest.mark.parametrize("size", SIZES)
def test_sums_of_values_and_gradients(batch: dict[str, np.ndarray], size: int | None) -> None:
    """Chunks of padding, whose scale is none of the batch, add nothing."""
    weights = jnp.asarray([0.5, -2.0])
    function = functools.partial(jax.value_and_grad(_loss), weights)
    value, gradient = jax.jit(lambda batch: sum_microbatches(function, batch, size))(batch)
    expected = np.zeros(2)
    for x, scale, stop in zip(batch["x"], batch["scale"], batch["stop"], strict=True):
        expected += (x / scale)[:stop].sum(0)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)
    np.testing.assert_allclose(value, expected @ np.asarray(weights), rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_no_more_than_the_size_is_computed_at_once(batch: dict[str, np.ndarray], size: int) -> None:
    sizes = set()

    def look(part: Mapping[str, jax.Array]) -> jax.Array:
        sizes.add(part["x"].shape[0])
        return part["x"]

    jax.eval_shape(lambda batch: map_microbatches(look, batch, size), batch)
    jax.eval_shape(lambda batch: sum_microbatches(look, batch, size), batch)
    assert len(sizes) == 1 and max(sizes) <= size


@pytest.mark.parametrize(
    ("rows", "length", "width", "expected"),
    [
        (32, 2048, 64, (2, 16)),  # The default, on four chips.
        (32, 4096, 512, (8, 4)),  # presets/tpu_pod.flags, on eight.
        (37, 4096, 512, (10, 4)),  # It has no divisor: three rows are padding.
        (9, 4096, 512, (3, 3)),
        (3, 2**16, 512, (3, 1)),
    ],
)
def test_an_accelerator_computes_as_many_rows_at_once_as_keep_it_busy(
    rows: int, length: int, width: int, expected: tuple[int, int]
) -> None:
    network = TransformerConfig(embedding_dim=width, num_layers=1, num_heads=4)
    model = build_model(ModelConfig(network=network), platform="tpu")
    inputs = {"samples": jax.ShapeDtypeStruct((rows, length), jnp.int8)}

    def step(inputs: Mapping[str, jax.Array]) -> jax.Array:
        size = model.microbatch_size(inputs)
        return sum_microbatches(lambda part: part["samples"].sum(), inputs, size)

    microbatches = [
        variable.aval.shape[:2]
        for equation in jax.make_jaxpr(step)(inputs).jaxpr.eqns
        for variable in equation.invars
        if equation.primitive.name == "scan" and variable.aval.dtype == jnp.int8
    ]
    assert microbatches == [expected]


@pytest.mark.parametrize(
    ("length", "width", "tpu", "gpu"),
    [
        (2048, 64, 16, 64),  # The default.
        (4096, 512, 4, 16),  # presets/tpu_pod.flags.
        (2**17, 512, 1, 1),
    ],
)
def test_an_accelerator_computes_as_many_chunks_at_once_as_keep_it_busy(
    length: int, width: int, tpu: int, gpu: int
) -> None:
    assert suitable_size("tpu", length, width) == tpu
    assert suitable_size("gpu", length, width) == gpu
    assert suitable_size("cpu", length, width) == 1
