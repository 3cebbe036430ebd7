"""What hosts send each other comes out as it went in."""

import numpy as np
import pytest

from runtime.host_messages import decode, encode


@pytest.mark.parametrize(
    "value", [None, [1, 2.5, "ä", True, {"a": [], "b": {}}], {"nan": float("inf")}, "", []]
)
def test_json_values(value):
    assert decode(encode(value)) == value


def test_arrays_anywhere():
    import jax.numpy as jnp  # Makes NumPy know bfloat16.

    arrays = [
        np.arange(6, dtype=np.int64).reshape(2, 3),
        np.zeros([0, 4], np.float32),
        np.full([], 3.0),
        np.asarray(jnp.arange(3, dtype=jnp.bfloat16)),
        np.asfortranarray(np.arange(6).reshape(2, 3)),
    ]
    sent = {
        "step": 3,
        "state": {"a": arrays[0], "b": arrays[1:3]},
        "c": [arrays[3], "x", arrays[4]],
    }
    got = decode(encode(sent))
    assert (got["step"], got["c"][1]) == (3, "x")
    found = [got["state"]["a"], *got["state"]["b"], got["c"][0], got["c"][2]]
    for one, other in zip(found, arrays, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_array_equal(one, other)


def test_other_objects_are_refused():
    with pytest.raises(TypeError, match="expected JSON values and NumPy arrays, got set"):
        encode([{1}])
