"""What a model says of each symbol, on all devices. The one module here that knows of pmap.

D devices of this host, B batch, L chunk size, G group sizes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax
import jax
import numpy as np

from models.networks.transformer import Transformer

Score = Callable[[np.ndarray], jax.Array]
"""Symbols [D, B / D, L] -> nats [D, B / D, L, G], on their way."""


def make_score(model: Transformer, params: Any, group_sizes: Sequence[int]) -> Score:
    """Returns a function from batches of symbols to the nats that their groups cost.

    A group is the neighbours that share a symbol divided by the group's size; see
    `Transformer.log_likelihoods`.
    """

    def score(params: Any, symbols: jax.Array) -> jax.Array:
        log_likelihoods: Any = model.apply(
            {"params": params}, symbols, tuple(group_sizes), method="log_likelihoods"
        )
        return -log_likelihoods

    replicated = flax.jax_utils.replicate(params)
    pmapped = jax.pmap(score)
    return lambda symbols: pmapped(replicated, symbols)
