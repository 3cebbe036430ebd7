"""Batches in, a trained model out: the pmapped step, the loop, metrics and the model file."""
