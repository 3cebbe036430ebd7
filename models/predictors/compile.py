"""How the adaptive predictors are compiled: exactly, once, and kept."""

import hashlib
import pathlib

import numba
import numpy as np

from runtime.filesystem import cache_folder
from runtime.logging import logger


def _digest() -> str:
    """Returns a name for what is compiled.

    numba looks at the file of a function that it has kept, not at the files of those that it calls;
    old machine code after an edit in another file would compute other predictions.
    """
    root = pathlib.Path(__file__).parents[2]
    files = [p for name in ("predictors", "exact") for p in (root / "models" / name).glob("*.py")]
    # Of the codec those that compile something: what they call is among all of these.
    files += [p for p in (root / "codec").rglob("*.py") if b"compile import jit" in p.read_bytes()]
    sources = b"".join(path.read_bytes() for path in sorted(files))
    return hashlib.sha256(numba.__version__.encode() + sources).hexdigest()[:16]


_FOLDER = pathlib.Path(cache_folder("compiled")) / _digest()
numba.config.CACHE_DIR = str(_FOLDER)

jit = numba.njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
"""Compiles a function without `fastmath`, which would let the order of additions change, and
without numba's runtime, which would count references to every array: nothing here allocates."""


inlined = numba.njit(nogil=True, error_model="numpy", inline="always", _nrt=False)
"""As `jit`, for a function that becomes a part of its callers: one that returns views of arrays, or
takes many."""

_announced = False


def announce_compilation(function: str) -> None:
    """Says, once, that a function will be compiled, if it has not been on this machine.

    Args:
      function: the last one of a kind of work, such as "bank.run".
    """
    global _announced
    if not _announced and not any(_FOLDER.rglob(f"{function}-*.nbi")):
        _announced = True
        logger.info(
            "compiling for this machine, once for each kind of work: 5 to 30 s, counted in the "
            "time that is told"
        )


@jit
def copy(to: np.ndarray, values: np.ndarray) -> None:
    """to[:] = values, which numba would first look at for an overlap."""
    for i in range(to.size):
        to[i] = values[i]
