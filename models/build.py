"""From a model's config to the model."""

from models.config import ModelConfig
from models.interface import Model


def build_model(config: ModelConfig, *, platform: str = "cpu") -> Model:
    """Returns the model that a config describes.

    Args:
      config: the whole of it.
      platform: what it will run on, "cpu", "gpu" or "tpu", as `jax.default_backend()` names it.
        It decides how the work is laid out, and nothing of what is computed but rounding.
    """
    from models.autoregressive import AutoregressiveModel  # flags need the config, not JAX.

    return AutoregressiveModel(config, platform=platform)
