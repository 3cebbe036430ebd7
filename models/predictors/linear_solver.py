"""The normal equations of weighted least squares, learnt and solved in a fixed order of operations.

D unknowns, padded to a multiple of LANES.
"""

import numpy as np

from models.predictors.compile import copy, jit
from models.predictors.lanes import LANES, add_scaled, scale_and_add

_RELATIVE_RIDGE = 2.0**-43


@jit
def learn(
    matrix: np.ndarray,  # float64 [D, D]
    target: np.ndarray,  # float64 [D]
    size: int,
    decay: float,
    weight: float,
    inputs: np.ndarray,  # float64 [D]
    sample: float,
) -> None:
    """Lets both sides decay, and adds a sample and the inputs that predict it.

    matrix <- decay matrix + weight inputs inputs', target <- decay target + weight sample inputs.
    Of the matrix, which is symmetric, only what `solve` reads: the diagonal and right of it.
    """
    for i in range(size):
        start = i // LANES * LANES  # As in `solve`.
        scale_and_add(matrix[i, start:], decay, weight * inputs[i], inputs[start:])
    scale_and_add(target, decay, weight * sample, inputs)


@jit
def sufficient_ridge(
    matrix: np.ndarray,  # float64 [D, D]
    size: int,
    ridge: float,
) -> float:
    """Returns a ridge with which `solve` has digits to spare.

    A pure tone of 24 bits is foreseen to a fraction of a step: its covariances are some 10^15 times
    what tells its predictors apart, and float64 has no more digits than these.
    """
    largest = 0.0
    for i in range(size):
        largest = max(largest, matrix[i, i])
    return ridge + _RELATIVE_RIDGE * largest


@jit
def solve(
    matrix: np.ndarray,  # float64 [D, D], of which the diagonal is read, and what is right of it
    ridge: float,
    target: np.ndarray,  # float64 [D]
    size: int,
    scratch: np.ndarray,  # float64 [D, D]
    solution: np.ndarray,  # float64 [D]
) -> bool:
    """Solves (matrix + ridge I) solution = target in the first `size` unknowns, by LDL^T.

    Returns:
      Whether the matrix was positive definite; if not, the solution is zero.
    """
    for i in range(size):
        start = i // LANES * LANES  # What lies left of the diagonal is never read.
        copy(scratch[i, start:], matrix[i, start:])
        scratch[i, i] += ridge
        solution[i] = target[i]
    for k in range(size):
        row = scratch[k]
        # Written so that NaN fails, too.
        if not row[k] > 0.0:
            solution[:] = 0.0
            return False
        inverse = 1.0 / row[k]
        for i in range(k + 1, size):
            factor = row[i] * inverse
            start = i // LANES * LANES
            add_scaled(scratch[i, start:], -factor, row[start:])
            solution[i] -= factor * solution[k]
    for k in range(size - 1, -1, -1):
        total = solution[k]
        for i in range(k + 1, size):
            total -= scratch[k, i] * solution[i]
        solution[k] = total / scratch[k, k]
    return True
