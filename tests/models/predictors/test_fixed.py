import jax.numpy as jnp
import numpy as np
import pytest

from models.config import FixedPredictorsConfig
from models.predictors.fixed import extract_features

CONFIG = FixedPredictorsConfig()
WINDOW = CONFIG.window


def test_windows_hold_the_samples_before_each_position() -> None:
    samples = np.random.default_rng(0).integers(-128, 128, (2, 40), np.int8)
    features = extract_features(jnp.asarray(samples), CONFIG)
    for t in (WINDOW + 1, 39):
        nearest_first = samples.astype(np.float32)[:, t - WINDOW - 1 : t][:, ::-1]
        np.testing.assert_array_equal(features.amplitudes[:, t], nearest_first[:, :-1])
        np.testing.assert_array_equal(features.differences[:, t], -np.diff(nearest_first))


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_each_predictor_continues_its_polynomials(degree: int) -> None:
    t = np.arange(60)
    samples = (-2_768 + 7 * t**degree).astype(np.int32)[None]
    features = extract_features(jnp.asarray(samples), CONFIG)
    settled = slice(2 * WINDOW, None)
    for predictor in range(degree + 1, 4):
        predictions = features.predictions[0, settled, predictor]
        np.testing.assert_array_equal(predictions, samples[0, settled])
        np.testing.assert_array_equal(features.errors[0, settled, predictor], 0)
    assert np.all(features.errors[0, settled, degree] > 0)


@pytest.mark.parametrize(("window", "num_predictors"), [(1, 2), (4, 3), (32, 5)])
def test_errors_are_means_over_the_window(window: int, num_predictors: int) -> None:
    config = FixedPredictorsConfig(window=window, num_predictors=num_predictors)
    samples = np.random.default_rng(0).integers(-99, 99, (1, 80))
    features = extract_features(jnp.asarray(samples), config)
    assert features.errors.shape == (1, 80, num_predictors)
    errors = np.abs(np.asarray(features.predictions)[0] - samples[0][:, None])
    expected = errors[70 - window : 70].mean(0)
    np.testing.assert_allclose(features.errors[0, 70], expected, rtol=1e-5)


def test_the_beginning_knows_nothing() -> None:
    features = extract_features(jnp.array([[72, -125, -51]], jnp.int8), CONFIG)
    assert all(np.all(np.asarray(part)[:, 0] == 0) for part in features)


def test_the_second_position_sees_no_jump_from_silence() -> None:
    features = extract_features(jnp.array([[72, -125]], jnp.int8), CONFIG)
    np.testing.assert_array_equal(features.predictions[0, 1], [0, 72, 72, 72])
    np.testing.assert_array_equal(features.differences[0, 1], 0)
