"""Fourier transforms, and covariances multiplied by them."""

import numpy as np
import pytest

from models.predictors.displacement import (
    DISPLACEMENT,
    displacement_fields,
    fill_tables,
    multiply_by_covariance,
    set_covariance,
)
from models.predictors.fft import roots, transform
from models.predictors.memory import Allocator, make_records


@pytest.mark.parametrize("n", [2, 4, 8, 64, 512, 2048])
def test_transform(n):
    rng = np.random.default_rng(n)
    real, imaginary = signal = rng.normal(size=(2, n))
    original = signal.copy()
    root = roots(n)
    np.testing.assert_allclose(root, np.exp(-2j * np.pi * np.arange(n) / n), atol=3e-15)
    tables = (np.empty((2, n)), root.real.copy(), root.imag.copy())
    transform(real, imaginary, *tables)
    np.testing.assert_allclose(real + 1j * imaginary, np.fft.fft(original[0] + 1j * original[1]))
    transform(imaginary, real, *tables)
    np.testing.assert_allclose(signal / n, original, atol=1e-13)


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_a_product_with_the_covariance_of_a_sliding_history(decay):
    n = 32
    rng = np.random.default_rng(0)
    history = np.concatenate([rng.normal(0, 1000, 800), np.zeros(n)])  # Newest first.
    covariance = sum(
        decay**s * np.outer(history[s : s + n], history[s : s + n]) for s in range(800)
    )
    allocator = Allocator()
    fields = {"taps": n, "decay": decay, **displacement_fields(n, allocator)}
    dtype = np.dtype([("taps", np.int64), ("decay", np.float64), *DISPLACEMENT], align=True)
    record = make_records(dtype, [fields])[0]
    doubles = allocator.allocate().doubles
    fill_tables(record, doubles)
    set_covariance(record, doubles, covariance[0].copy(), history[:n].copy())
    vector, product = rng.normal(size=n), np.empty(n)
    multiply_by_covariance(record, doubles, vector, product)
    expected = covariance @ vector
    np.testing.assert_allclose(product, expected, atol=1e-12 * abs(expected).max())
