"""A Fourier transform whose last bit is the same on every machine.

n points, a power of two. Real and imaginary parts lie in arrays of their own, so that a processor
computes several of them at once.
"""

import math

import numpy as np

from models.predictors.compile import copy, jit


def roots(n: int) -> np.ndarray:  # complex128 [n]
    """Returns e^(-2 pi i k / n) for k < n, made of square roots and products alone."""
    powers = np.array([1.0, -1.0], np.complex128)[:n]
    cosine, sine = 0.0, 1.0  # Of pi / 2, pi / 4, ...
    while powers.size < n:
        odd = _multiply(powers, complex(cosine, -sine))
        powers = np.stack([powers, odd], 1).ravel()
        half = math.sqrt((1.0 + cosine) / 2.0)
        cosine, sine = half, sine / (2.0 * half)
    return powers


def _multiply(values: np.ndarray, factor: complex) -> np.ndarray:
    # Written out: how a library multiplies complex numbers is its own affair.
    real = values.real * factor.real - values.imag * factor.imag
    imaginary = values.real * factor.imag + values.imag * factor.real
    return real + 1j * imaginary


@jit
def transform(
    real: np.ndarray,  # float64 [n]
    imaginary: np.ndarray,  # float64 [n]
    scratch: np.ndarray,  # float64 [2, n]
    root_real: np.ndarray,  # float64 [n]
    root_imaginary: np.ndarray,  # float64 [n]
) -> None:
    """x_k <- sum_j x_j e^(-2 pi i j k / n), in place (Stockham's algorithm, of radix 4).

    With the two parts of x exchanged it is the inverse transform, times n.
    """
    count, stride, is_moved = real.size, 1, False
    while count >= 4:
        if is_moved:
            _radix_4(
                scratch[0], scratch[1], real, imaginary, root_real, root_imaginary, count, stride
            )
        else:
            _radix_4(
                real, imaginary, scratch[0], scratch[1], root_real, root_imaginary, count, stride
            )
        is_moved = not is_moved
        count //= 4
        stride *= 4
    if is_moved:
        copy(real, scratch[0])
        copy(imaginary, scratch[1])
    if count == 2:
        _radix_2(real, scratch[0])
        _radix_2(imaginary, scratch[0])


@jit
def _radix_2(values: np.ndarray, scratch: np.ndarray) -> None:
    half = values.size // 2
    copy(scratch, values)
    low, high = scratch[:half], scratch[half:]
    for i in range(half):
        values[i] = low[i] + high[i]
    upper = values[half:]
    for i in range(half):
        upper[i] = low[i] - high[i]


@jit
def _radix_4(
    real: np.ndarray,
    imaginary: np.ndarray,
    to_real: np.ndarray,
    to_imaginary: np.ndarray,
    root_real: np.ndarray,
    root_imaginary: np.ndarray,
    count: int,
    stride: int,
) -> None:
    """Splits transforms of `count` points, `stride` of them, into four times as many."""
    quarter = count // 4
    step = quarter * stride
    for p in range(quarter):
        at = p * stride
        w1r, w1i = root_real[at], root_imaginary[at]
        w2r, w2i = root_real[2 * at], root_imaginary[2 * at]
        w3r, w3i = root_real[3 * at], root_imaginary[3 * at]
        a_r, a_i = real[at : at + stride], imaginary[at : at + stride]
        at += step
        b_r, b_i = real[at : at + stride], imaginary[at : at + stride]
        at += step
        c_r, c_i = real[at : at + stride], imaginary[at : at + stride]
        at += step
        d_r, d_i = real[at : at + stride], imaginary[at : at + stride]
        first = 4 * p * stride
        second, third, fourth = first + stride, first + 2 * stride, first + 3 * stride
        for i in range(stride):
            even_r, even_i = a_r[i] + c_r[i], a_i[i] + c_i[i]
            odd_r, odd_i = b_r[i] + d_r[i], b_i[i] + d_i[i]
            to_real[first + i], to_imaginary[first + i] = even_r + odd_r, even_i + odd_i
            r, s = even_r - odd_r, even_i - odd_i
            to_real[third + i] = w2r * r - w2i * s
            to_imaginary[third + i] = w2r * s + w2i * r
            even_r, even_i = a_r[i] - c_r[i], a_i[i] - c_i[i]
            odd_r, odd_i = b_i[i] - d_i[i], d_r[i] - b_r[i]
            r, s = even_r + odd_r, even_i + odd_i
            to_real[second + i] = w1r * r - w1i * s
            to_imaginary[second + i] = w1r * s + w1i * r
            r, s = even_r - odd_r, even_i - odd_i
            to_real[fourth + i] = w3r * r - w3i * s
            to_imaginary[fourth + i] = w3r * s + w3i * r
