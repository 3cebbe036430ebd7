"""Evaluation: bits per sample of a model and of other codecs, and reports of them."""
