"""A model that compiles in no time: how often each sample comes. V values of a sample."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from models.interface import Batch, Inputs


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnigramConfig:
    """All that decides what a `Unigram` computes."""

    depth: int = 8


class Unigram:
    """Implements `models.interface.Model`.

    Attributes:
      traces: how often it was traced, which is once a compilation.
    """

    def __init__(
        self,
        depth: int = 8,
        *,
        on_prepare: Callable[[Batch], None] = lambda batch: None,
        nan_at: int | None = None,
        microbatch_size: int | None = None,
    ) -> None:
        """Makes a model.

        Args:
          depth: bits of a sample.
          on_prepare: called with every batch, training's and validation's; a test's hook.
          nan_at: a sample whose log-likelihood is NaN.
          microbatch_size: see `models.interface.Model`.
        """
        self.config = UnigramConfig(depth=depth)
        self.traces = 0
        self._on_prepare, self._nan_at = on_prepare, nan_at
        self._microbatch_size = microbatch_size

    def prepare(self, batch: Batch) -> Inputs:
        self._on_prepare(batch)
        return {"samples": batch["samples"]}

    def init(self, key: jax.Array) -> dict[str, Any]:
        return {"logits": 0.01 * jax.random.normal(key, (2**self.config.depth,))}

    def microbatch_size(self, inputs: Inputs) -> int | None:
        return self._microbatch_size

    def log_likelihood(self, params: Any, inputs: Inputs) -> jax.Array:  # float32 [B, L]
        self.traces += 1
        samples = inputs["samples"].astype(jnp.int32)
        values = jax.nn.log_softmax(params["logits"])[samples + 2 ** (self.config.depth - 1)]
        return (
            values if self._nan_at is None else jnp.where(samples == self._nan_at, jnp.nan, values)
        )

    def cost_parts(self, params: Any, inputs: Inputs) -> dict[str, jax.Array]:
        return {"unigram": -self.log_likelihood(params, inputs)}
