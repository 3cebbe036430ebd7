"""The model: predictors -> features -> network -> distribution.

B batch, L samples in a chunk, P components of the mixture, G group sizes.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from models.config import FixedPredictorsConfig, ModelConfig
from models.distributions.logistic_mixture import LogisticMixture, mixture_log_prob
from models.distributions.mixture import Mixture
from models.interface import Batch, Inputs, Params
from models.microbatches import suitable_size
from models.networks.cache import Cache, Entries, init_caches
from models.networks.feature_embedding import FeatureEmbedding
from models.networks.registry import make_network
from models.networks.transformer import apply_step, step_params
from models.predictors.fixed import count_known, extract_features, next_features

_BYTE_VALUES = 256


class AutoregressiveModel:
    """The model of a network; see `interface.StepModel`, and `build.build_model`."""

    def __init__(self, network: "Network") -> None:
        self.config = network.config
        self.platform = network.platform
        self._network = network

    def prepare(self, batch: Batch) -> Inputs:
        return {"samples": batch["samples"]}

    def init(self, key: jax.Array) -> Params:
        init = functools.partial(self._network.init, group_sizes=(1,))
        return jax.jit(init)(key, jnp.zeros((1, 1), jnp.int32))["params"]

    def microbatch_size(self, inputs: Inputs) -> int:
        length = inputs["samples"].shape[-1]
        return suitable_size(self.platform, length, self.config.network.embedding_dim)

    def log_likelihood(self, params: Params, inputs: Inputs) -> jax.Array:
        return self._log_likelihoods(params, inputs, 1)[..., 0]

    def cost_parts(self, params: Params, inputs: Inputs) -> dict[str, jax.Array]:
        if self.config.depth == 8:
            return {"sample": -self.log_likelihood(params, inputs)}
        both = self._log_likelihoods(params, inputs, 1, _BYTE_VALUES)
        sample, upper = both[..., 0], both[..., 1]
        return {"upper byte": -upper, "lower byte": upper - sample}

    def _log_likelihoods(self, params: Params, inputs: Inputs, *group_sizes: int) -> jax.Array:
        result: Any = self._network.apply({"params": params}, inputs["samples"], group_sizes)
        return result

    def init_rows(self, batch: Batch) -> "Rows":
        return Rows(self.config.predictors, batch["stop"])

    def init_caches(self, batch: int, length: int) -> tuple[Cache, ...]:
        return init_caches(self.config.network, batch, length, self.platform)

    def step_params(self, params: Params) -> Params:
        return step_params(params)

    def step(
        self, params: Params, inputs: Inputs, caches: Sequence[Cache], position: jax.Array
    ) -> tuple[Mixture, list[Entries]]:
        result: Any = apply_step(self._network, params, inputs["known"], caches, position)
        return result


class Rows:
    """Chunks side by side, see `interface.StepRows`; what is known are their last samples."""

    def __init__(self, config: FixedPredictorsConfig, stop: np.ndarray) -> None:
        self.order = [np.arange(max(count, 0)) for count in stop]
        self._known = np.zeros((len(stop), count_known(config)), np.int32)
        self._is_first = True

    def predict(self) -> tuple[Inputs, np.ndarray]:
        return {"known": self._known}, np.zeros(len(self._known))

    def update(self, samples: np.ndarray) -> None:  # int32 [B]
        # Another array, since JAX may still read the last one.
        if self._is_first:
            self._known = np.repeat(samples[:, None], self._known.shape[1], 1)
        else:
            self._known = np.concatenate([self._known[:, 1:], samples[:, None]], 1)
        self._is_first = False


class Network(nn.Module):
    """The Flax module: everything that has parameters.

    Attributes:
      config: everything that decides what it computes.
      platform: what it will run on, see `build.build_model`.
    """

    config: ModelConfig
    platform: str

    def setup(self) -> None:
        config = self.config
        self.feature_embedding = FeatureEmbedding(
            config.network.embedding_dim, config.depth, config.network.dtype
        )
        self.network = make_network(config.network, self.platform)
        self.distribution = LogisticMixture(config.distribution, config.depth)

    def __call__(self, samples: jax.Array, group_sizes: Sequence[int]) -> jax.Array:
        """Returns the log-probability, in nats, of the group that each sample belongs to.

        A group is an aligned range of sample values: of size 1 the sample itself, of size 256 all
        values with its upper byte, which splits the cost of a 16-bit sample by byte.

        Args:
          samples: signed integers [B, L].
          group_sizes: each a divisor of 2^depth.

        Returns:
          float32 [B, L, G].
        """
        # A float or a single chunk would give a wrong but plausible result.
        if samples.ndim != 2 or not jnp.issubdtype(samples.dtype, jnp.signedinteger):
            raise ValueError(
                f"samples must be signed integers [B, L], got {samples.dtype} {list(samples.shape)}"
            )
        # Widened here, of one microbatch: a whole batch of int8 libtpu cannot cast (v5p).
        return self.log_probs(samples.astype(jnp.int32), group_sizes)

    def log_probs(self, samples: jax.Array, group_sizes: Sequence[int]) -> jax.Array:
        """Returns what `__call__` does, of samples that are int32."""
        mixture, depth = self.mixture(samples), self.config.depth
        log_probs = [mixture_log_prob(mixture, samples, depth, size) for size in group_sizes]
        return jnp.stack(log_probs, -1)

    def mixture(self, samples: jax.Array) -> Mixture:
        """Returns the distribution of each sample: int [B, L] -> [B, L, P]."""
        features = extract_features(samples, self.config.predictors)
        return self.distribution(self.network(self.feature_embedding(features)), features)

    def step(
        self,
        known: jax.Array,  # int32 [B, M]
        layers: Sequence[Any],
        caches: Sequence[Cache],
        position: jax.Array,
    ) -> tuple[Mixture, list[Entries]]:
        """Returns the distribution of one position, [B, P], as `mixture` does of all.

        Args:
          known: the samples before it, see `next_features`.
          layers: see `Transformer.step`, and
          caches: there.
          position: which it is.
        """
        features = next_features(known, self.config.predictors)
        embedded = self.feature_embedding(features, position)
        hidden, fillings = self.network.step(embedded, layers, caches, position)
        mixture = self.distribution(hidden, features)
        return jax.tree.map(lambda x: x[:, 0], mixture), fillings
