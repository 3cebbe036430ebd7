"""The adaptive model under a transformer: bank of predictors -> features -> attention -> mixture.

B chunks (any leading axes on the host), L samples in a chunk, E embedding.

Attention goes through the channels of a chunk one after the other, not block by block: the features
of a second channel know of the first one's samples up to `least_squares.AHEAD` later than theirs,
which may lie in the next block.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from models.adaptive import FeatureModel, sample_log_prob
from models.config import AdaptiveModelConfig, TransformerConfig
from models.distributions.mixture import Mixture
from models.distributions.residual_mixture import ResidualMixture
from models.interface import Batch, Inputs, Params
from models.microbatches import suitable_size
from models.networks.cache import Cache, Entries, init_caches
from models.networks.registry import make_network
from models.networks.transformer import apply_step, step_params
from models.predictors.channels import channel_indices
from models.predictors.compile import announce_compilation
from models.predictors.rows import AdaptiveRows


class AdaptiveTransformerModel(FeatureModel):
    """A transformer that reads the features of adaptive predictors; see `interface.StepModel`."""

    def __init__(self, config: AdaptiveModelConfig, platform: str) -> None:
        super().__init__(config, AdaptiveTransformer(config, platform))
        self.platform = platform

    def prepare(self, batch: Batch) -> Inputs:
        """See `interface.Model`. Inputs are in the order of channels; `place` leads back."""
        arrays = dict(super().prepare(batch))
        shape = batch["samples"].shape
        order = self._channel_order(batch)
        for name, array in arrays.items():
            index = order.reshape(*shape, *(1 for _ in array.shape[len(shape) :]))
            arrays[name] = np.take_along_axis(array, index, len(shape) - 1)
        return {**arrays, "place": np.argsort(order, -1).reshape(shape).astype(np.int32)}

    def microbatch_size(self, inputs: Inputs) -> int:
        assert isinstance(self.config.network, TransformerConfig)
        length = inputs["residual"].shape[-1]
        return suitable_size(self.platform, length, self.config.network.embedding_dim)

    def example(self) -> dict[str, Any]:
        return {**super().example(), "place": jnp.zeros((1, 1), jnp.int32)}

    def _channel_order(self, batch: Batch) -> np.ndarray:  # int64 [B, L]
        length = batch["samples"].shape[-1]
        order = []
        for row in self.places(batch):
            channels = [own for own, _ in channel_indices(*row)]
            order.append(np.concatenate([*channels, np.arange(max(row[0], 0), length)]))
        return np.stack(order)

    def init_rows(self, batch: Batch) -> AdaptiveRows:
        announce_compilation("rows._predict")
        return AdaptiveRows(self.config.predictors, self.config.depth, self.places(batch))

    def init_caches(self, batch: int, length: int) -> tuple[Cache, ...]:
        assert isinstance(self.config.network, TransformerConfig)
        return init_caches(self.config.network, batch, length, self.platform)

    def step_params(self, params: Params) -> Params:
        return step_params(params)

    def step(
        self, params: Params, inputs: Inputs, caches: Sequence[Cache], position: jax.Array
    ) -> tuple[Mixture, list[Entries]]:
        result: Any = apply_step(self._network, params, inputs, caches, position)
        return result


class AdaptiveTransformer(nn.Module):
    """The Flax module: everything that has parameters.

    Attributes:
      config: its network is a `TransformerConfig`.
      platform: what it will run on, see `build.build_model`.
    """

    config: AdaptiveModelConfig
    platform: str

    def setup(self) -> None:
        network = self.config.network
        assert isinstance(network, TransformerConfig)
        # Accelerators multiply float32 in fewer bits unless told otherwise.
        self.feature_embedding = nn.Dense(
            network.embedding_dim, dtype=jnp.dtype(network.dtype), precision="highest"
        )
        self.network = make_network(network, self.platform)
        self.distribution = ResidualMixture(self.config.distribution)

    def __call__(self, inputs: Inputs) -> jax.Array:  # float32 [B, L]
        hidden = self.network(self.feature_embedding(inputs["features"]))
        in_order = sample_log_prob(self.distribution, hidden.astype(jnp.float32), inputs)
        return jnp.take_along_axis(in_order, inputs["place"], 1)

    def step(
        self,
        inputs: Inputs,  # features [B, F] and scale [B]
        layers: Sequence[Any],
        caches: Sequence[Cache],
        position: jax.Array,
    ) -> tuple[Mixture, list[Entries]]:
        """Returns the distribution of one position, [B, M]; see `Transformer.step`."""
        embedded = self.feature_embedding(inputs["features"][:, None])
        hidden, fillings = self.network.step(embedded, layers, caches, position)
        mixture = self.distribution(hidden[:, 0].astype(jnp.float32), inputs["scale"])
        return mixture, fillings
