import jax.numpy as jnp
import numpy as np
import pytest

from models.predictors.fixed import WINDOW, extract_features


def test_windows_hold_the_symbols_before_each_position() -> None:
    symbols = np.random.default_rng(0).integers(0, 256, (2, 40), np.uint8)
    history = extract_features(jnp.asarray(symbols), 256)
    amplitudes = symbols.astype(np.float32) - 128
    for t in (WINDOW + 1, 39):
        nearest_first = amplitudes[:, t - WINDOW - 1 : t][:, ::-1]
        np.testing.assert_array_equal(history.amplitudes[:, t], nearest_first[:, :-1])
        np.testing.assert_array_equal(history.steps[:, t], -np.diff(nearest_first))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_each_predictor_continues_its_polynomials(degree: int) -> None:
    t = np.arange(60)
    symbols = (30_000 + 7 * t**degree).astype(np.int32)[None]
    history = extract_features(jnp.asarray(symbols), 65536)
    settled = slice(2 * WINDOW, None)
    for predictor in range(degree + 1, 4):
        np.testing.assert_array_equal(
            history.predictions[0, settled, predictor], symbols[0, settled] - 32768
        )
        np.testing.assert_array_equal(history.errors[0, settled, predictor], 0)
    assert np.all(history.errors[0, settled, degree] > 0)


def test_the_beginning_knows_nothing() -> None:
    history = extract_features(jnp.array([[200, 3, 77]], jnp.uint8), 256)
    assert all(np.all(np.asarray(part)[:, 0] == 0) for part in history)


def test_the_second_position_sees_no_jump_from_silence() -> None:
    history = extract_features(jnp.array([[200, 3]], jnp.uint8), 256)
    np.testing.assert_array_equal(history.predictions[0, 1], [0, 72, 72, 72])
    np.testing.assert_array_equal(history.steps[0, 1], 0)
