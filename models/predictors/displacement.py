"""A covariance of a sliding history, multiplied in O(n log n).

n taps; N = 2 n.

Of x, whose newest sample is x_0, the covariance R[i][j] = sum_s decay^s x_{s + i} x_{s + j} obeys

    decay R[i + 1][j + 1] = R[i][j] - x_i x_j,

so that, with D = diag(decay^(i / 2)) and L the lower triangular Toeplitz matrix of first column
(0, d_0 x_0, d_1 x_1, ...),

    D R D = T - L L',

where T is the symmetric Toeplitz matrix with the first row of D R D ("displacement structure",
Kailath and Sayed 1995): one row says it all. A product with a Toeplitz matrix is a part of a
negacyclic convolution of N numbers, of which n are zero. That is a product of complex transforms
of n points, of z_j = x_j e^(-i pi j / N).
"""

import math
from typing import Any

import numpy as np

from models.predictors.compile import copy, jit
from models.predictors.fft import roots, transform
from models.predictors.lanes import as_matrix
from models.predictors.memory import Allocator

_TABLES = ("root_real", "root_imaginary", "turn_real", "turn_imaginary", "scale")
_VECTORS = ("real", "imaginary", "factor_real", "factor_imaginary", "toeplitz")

DISPLACEMENT = [(name, np.int64) for name in (*_TABLES, *_VECTORS, "toeplitz_part", "scratch")]
"""Fields of a record that has a covariance: where vectors lie in float64. Of n numbers:
e^(-2 pi i k / n); e^(-i pi j / N); decay^(-j / 2); a transform; those of L and of T, which is real.
Of 2 n: what T contributes to a product; scratch."""


def displacement_fields(taps: int, allocator: Allocator) -> dict[str, int]:
    """Returns the fields of a covariance; `fill_tables` follows once there is memory."""
    return {
        **{name: allocator.doubles(taps) for name in (*_TABLES, *_VECTORS)},
        **{name: allocator.doubles(2 * taps) for name in ("toeplitz_part", "scratch")},
    }


def fill_tables(record: Any, doubles: np.ndarray) -> None:
    """Writes what does not change, for a record that has `taps` and `decay`, too."""
    n = int(record["taps"])
    whole, turns = roots(n), roots(4 * n)[:n]
    scale, factor = [1.0], 1.0 / math.sqrt(record["decay"])
    while len(scale) < n:
        scale.append(scale[-1] * factor)
    tables = (whole.real, whole.imag, turns.real, turns.imag, scale)
    for name, values in zip(_TABLES, tables, strict=True):
        doubles[int(record[name]) :][:n] = values


@jit
def _forward(record: Any, doubles: np.ndarray) -> None:
    """Transforms what lies in `real`."""
    n = record.taps
    real = doubles[record.real : record.real + n]
    imaginary = doubles[record.imaginary : record.imaginary + n]
    turn_real = doubles[record.turn_real : record.turn_real + n]
    turn_imaginary = doubles[record.turn_imaginary : record.turn_imaginary + n]
    for j in range(n):
        imaginary[j] = real[j] * turn_imaginary[j]
    for j in range(n):
        real[j] *= turn_real[j]
    transform(
        real,
        imaginary,
        as_matrix(doubles[record.scratch : record.scratch + 2 * n], n),
        doubles[record.root_real : record.root_real + n],
        doubles[record.root_imaginary : record.root_imaginary + n],
    )


@jit
def _backward(record: Any, doubles: np.ndarray) -> None:
    """Returns to n numbers, in `real`."""
    n = record.taps
    real = doubles[record.real : record.real + n]
    imaginary = doubles[record.imaginary : record.imaginary + n]
    turn_real = doubles[record.turn_real : record.turn_real + n]
    turn_imaginary = doubles[record.turn_imaginary : record.turn_imaginary + n]
    transform(
        imaginary,
        real,
        as_matrix(doubles[record.scratch : record.scratch + 2 * n], n),
        doubles[record.root_real : record.root_real + n],
        doubles[record.root_imaginary : record.root_imaginary + n],
    )
    inverse = 1.0 / n
    for j in range(n):
        real[j] = (real[j] * turn_real[j] + imaginary[j] * turn_imaginary[j]) * inverse


@jit
def set_covariance(
    record: Any,
    doubles: np.ndarray,
    row: np.ndarray,  # float64 [n], the first of R
    history: np.ndarray,  # float64 [n], newest first
) -> None:
    """Transforms what R is made of."""
    n = record.taps
    real = doubles[record.real : record.real + n]
    imaginary = doubles[record.imaginary : record.imaginary + n]
    scale = doubles[record.scale : record.scale + n]
    for j in range(n):
        real[j] = row[j] / scale[j]
    real[0] *= 0.5
    _forward(record, doubles)
    toeplitz = doubles[record.toeplitz : record.toeplitz + n]
    for j in range(n):
        toeplitz[j] = 2.0 * real[j]
    real[0] = 0.0
    for j in range(1, n):
        real[j] = history[j - 1] / scale[j - 1]
    _forward(record, doubles)
    copy(doubles[record.factor_real : record.factor_real + n], real)
    copy(doubles[record.factor_imaginary : record.factor_imaginary + n], imaginary)


@jit
def multiply_by_covariance(
    record: Any,
    doubles: np.ndarray,
    vector: np.ndarray,  # float64 [n]
    product: np.ndarray,  # float64 [n]
) -> None:
    """Product = R vector."""
    n = record.taps
    real = doubles[record.real : record.real + n]
    imaginary = doubles[record.imaginary : record.imaginary + n]
    scale = doubles[record.scale : record.scale + n]
    toeplitz = doubles[record.toeplitz : record.toeplitz + n]
    factor_real = doubles[record.factor_real : record.factor_real + n]
    factor_imaginary = doubles[record.factor_imaginary : record.factor_imaginary + n]
    for j in range(n):
        real[j] = vector[j] * scale[j]
    _forward(record, doubles)
    part = doubles[record.toeplitz_part : record.toeplitz_part + 2 * n]
    for j in range(n):
        part[j] = toeplitz[j] * real[j]
        part[n + j] = toeplitz[j] * imaginary[j]
    for j in range(n):
        r, i = real[j], imaginary[j]
        real[j] = factor_real[j] * r + factor_imaginary[j] * i
        imaginary[j] = factor_real[j] * i - factor_imaginary[j] * r
    _backward(record, doubles)
    _forward(record, doubles)
    for j in range(n):
        r, i = real[j], imaginary[j]
        real[j] = part[j] - (factor_real[j] * r - factor_imaginary[j] * i)
        imaginary[j] = part[n + j] - (factor_real[j] * i + factor_imaginary[j] * r)
    _backward(record, doubles)
    for j in range(n):
        product[j] = real[j] * scale[j]
