"""Batches in, a trained model out: the steps, the loop, checkpoints and metrics."""
