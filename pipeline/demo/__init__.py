"""A corpus to try wavestream on, synthesized on first use."""

from pipeline.demo.corpus import synthesize_demo_corpus

__all__ = ["synthesize_demo_corpus"]
