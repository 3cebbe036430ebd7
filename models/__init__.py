"""Models: samples in, their log-likelihoods out. Nothing here knows of audio files."""
