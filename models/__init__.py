"""Autoregressive transformers over audio symbols: symbols in, log-probabilities out."""

from models.config import ModelConfig
from models.transformer import Transformer, init_params

__all__ = ["ModelConfig", "Transformer", "init_params"]
