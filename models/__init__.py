"""Autoregressive transformers over audio symbols: symbols in, log-probabilities out."""
