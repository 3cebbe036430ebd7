"""Builds a model from its config."""

from models.config import AdaptiveModelConfig, ModelConfig, TransformerConfig
from models.interface import Model


def build_model(config: ModelConfig | AdaptiveModelConfig, *, platform: str = "cpu") -> Model:
    """Returns the model that a config describes.

    Args:
      config: the config.
      platform: what the model will run on, "cpu", "gpu" or "tpu" as in `jax.default_backend()`. It
        changes how the computation is laid out, and of the results only the rounding.
    """
    # Not at the top: `ModelFile` imports this module, and reading a model file needs no JAX.
    if isinstance(config, AdaptiveModelConfig):
        if isinstance(config.network, TransformerConfig):
            from models.adaptive_transformer import AdaptiveTransformerModel

            return AdaptiveTransformerModel(config, platform)
        from models.adaptive import AdaptiveModel

        return AdaptiveModel(config)
    from models.autoregressive import AutoregressiveModel, Network

    return AutoregressiveModel(Network(config, platform))
