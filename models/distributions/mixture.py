"""The parameters of a mixture of logistics.

M components.
"""

from typing import NamedTuple

import jax


class Mixture(NamedTuple):
    """Logistics, discretized to integer samples, and perhaps a uniform component.

    Attributes:
      log_weights: log-probabilities of the components, float32 [..., M], or M + 1 with a uniform
        one, which is the last.
      centres: of the logistics, in quantization steps, of samples or, where there is a base, of
        what is left of them without it, float32 [..., M].
      log_scales: logarithms of their scales in quantization steps, float32 [..., M].
    """

    log_weights: jax.Array
    centres: jax.Array
    log_scales: jax.Array
