"""Builds a model from its config."""

from models.config import ModelConfig
from models.interface import Model


def build_model(config: ModelConfig, *, platform: str = "cpu") -> Model:
    """Returns the model that a config describes.

    Args:
      config: the config.
      platform: what the model will run on, "cpu", "gpu" or "tpu" as in `jax.default_backend()`. It
        changes how the computation is laid out, and of the results only the rounding.
    """
    # Not at the top: `ModelFile` imports this module, and reading a model file needs no JAX.
    from models.autoregressive import AutoregressiveModel, Network

    return AutoregressiveModel(Network(config, platform))
