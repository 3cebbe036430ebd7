"""The adaptive model: bank of predictors -> features -> network, a perceptron -> mixture.

It reads and codes samples on their native scale: low bits that are zero in all samples of a chunk,
or of a segment, are taken away first, so that one model serves audio of 8, 16 and 24 bits.

B chunks (any leading axes on the host), L samples in a chunk, F features.
"""

import concurrent.futures
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from models.config import AdaptiveModelConfig, MlpConfig
from models.distributions.residual_mixture import Residual, ResidualMixture, residual_log_prob
from models.exact.analysis import measure_segment
from models.exact.network import make_mlp
from models.interface import Batch, Inputs, Params
from models.native_scale import SHIFT_BITS, common_zeros, least_depth
from models.networks.mlp import Mlp
from models.predictors.channels import channel_indices
from models.predictors.compile import announce_compilation
from models.predictors.extract import count_features, extract
from runtime.devices import available_cores

_PLACE = ("stop", "position", "frames", "channels", "block")


class FeatureModel:
    """A model whose predictors adapt to each chunk from its first sample on; see `interface.Model`.

    `prepare` makes the features, in threads; they are most of the work of a step.
    """

    def __init__(self, config: AdaptiveModelConfig, network: nn.Module) -> None:
        """Makes a model.

        Args:
          config: the config.
          network: from what `prepare` returns to log-probabilities, float32 [B, L].
        """
        self.config = config
        self._network = network
        self._num_features = count_features(config.predictors)
        self._threads = concurrent.futures.ThreadPoolExecutor(available_cores(), "predictors")

    def prepare(self, batch: Batch) -> Inputs:
        shape = batch["samples"].shape
        rows = batch["samples"].reshape(-1, shape[-1])
        places = self.places(batch)
        features = np.zeros((*rows.shape, self._num_features), np.float32)
        residual, scale = np.zeros(rows.shape, np.float32), np.ones(rows.shape, np.float32)
        bound, side = np.zeros(rows.shape, np.int8), np.zeros(rows.shape, np.int8)
        starts, stops = (np.ravel(batch[name]) for name in ("first", "stop"))

        def fill(row: int) -> None:
            # Padding is no sample: it says nothing of the scale.
            real = rows[row, : max(stops[row], 0)]
            shift = common_zeros(real)
            native = real >> shift
            depth = least_depth(native)
            for own, other in channel_indices(*places[row]):
                samples = native[own]
                before = native[other] if other.size else None
                known = extract(self.config.predictors, depth, samples, before)
                features[row, own] = known.features
                residual[row, own] = samples - known.base
                scale[row, own] = known.scale
            full_scale = 2 ** (depth - 1)
            bound[row, : real.size] = (native == full_scale - 1).astype(np.int8)
            bound[row, : real.size] -= native == -full_scale
            side[row, starts[row] : starts[row] + 1] = SHIFT_BITS if shift else 0

        announce_compilation("bank.run")
        for _ in self._threads.map(fill, range(len(rows))):
            pass  # Raises what a thread has raised.
        arrays: dict[str, np.ndarray] = {
            "features": features,
            "residual": residual,
            "scale": scale,
            "bound": bound,
            "side": side,
        }
        return {name: x.reshape(*shape[:-1], *x.shape[1:]) for name, x in arrays.items()}

    def places(self, batch: Batch) -> list[list[int]]:
        """Returns the first arguments of `channel_indices` for each row."""
        return np.stack([batch[name].ravel() for name in _PLACE], -1).tolist()

    def example(self) -> dict[str, Any]:
        """Returns the inputs of one sample."""
        shape = (1, 1, self._num_features)
        return {
            "features": jnp.zeros(shape),
            "residual": jnp.zeros(shape[:-1]),
            "scale": jnp.ones(shape[:-1]),
            "bound": jnp.zeros(shape[:-1], jnp.int8),
            "side": jnp.zeros(shape[:-1], jnp.int8),
        }

    def init(self, key: jax.Array) -> Params:
        return jax.jit(self._network.init)(key, self.example())["params"]

    def microbatch_size(self, inputs: Inputs) -> int | None:
        return None  # A perceptron keeps little of a sample.

    def log_likelihood(self, params: Params, inputs: Inputs) -> jax.Array:
        result: Any = self._network.apply({"params": params}, inputs)
        return result

    def cost_parts(self, params: Params, inputs: Inputs) -> dict[str, jax.Array]:
        return {"sample": -self.log_likelihood(params, inputs)}


class AdaptiveModel(FeatureModel):
    """A perceptron that reads the features; see `interface.SegmentModel`."""

    def __init__(self, config: AdaptiveModelConfig) -> None:
        super().__init__(config, _Perceptron(config))

    def segment_costs(self, params: Params, frames: np.ndarray) -> dict[str, np.ndarray]:
        announce_compilation("stream.stretch_shares")
        cost = measure_segment(self.config, make_mlp(params), frames)
        # In equal parts: on one sample they would hide what context buys, by position.
        side = np.full_like(cost.bits, cost.side_bits / cost.bits.size)
        nat = np.float32(np.log(2))
        return {"coded samples": cost.bits * nat, "hints to the decoder": side * nat}


class _Perceptron(nn.Module):
    config: AdaptiveModelConfig

    @nn.compact
    def __call__(self, inputs: Inputs) -> jax.Array:  # float32 [B, L]
        network = self.config.network
        assert isinstance(network, MlpConfig)
        hidden = Mlp(network, name="network")(inputs["features"])
        distribution = ResidualMixture(self.config.distribution, name="distribution")
        return sample_log_prob(distribution, hidden, inputs)


def sample_log_prob(distribution: ResidualMixture, hidden: jax.Array, inputs: Inputs) -> jax.Array:
    """Returns the log-probability of each sample, and of its side information, float32 [B, L].

    Args:
      distribution: of a module that is applied.
      hidden: float32 [B, L, ...], the last states of the network.
      inputs: what `FeatureModel.prepare` returns.
    """
    mixture = distribution(hidden, inputs["scale"])
    residual = Residual(inputs["residual"], inputs["scale"], inputs["bound"])
    return residual_log_prob(mixture, residual) - math.log(2) * inputs["side"]
