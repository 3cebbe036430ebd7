"""Predictions of a sample from those before it, without learned parameters."""
