"""The kinds of network.

To add one, write its module here and its config in `models/config.py`, name it in `make_network`,
and make the config of flags in `commands/train.py` (docs/reference/python.md, "Models").
"""

from typing import TYPE_CHECKING

from models.config import TransformerConfig

if TYPE_CHECKING:
    from flax import linen as nn


def make_network(config: TransformerConfig, platform: str) -> "nn.Module":
    """Returns the network that a config describes: [B, L, E] -> [B, L, E], causal over L.

    Args:
      config: of any kind; each has an `embedding_dim` E and a `dtype`.
      platform: see `build.build_model`.
    """
    from models.networks.transformer import Transformer  # Reading a model file needs no JAX.

    kinds = {"transformer": Transformer}
    return kinds[config.kind](config, platform)
