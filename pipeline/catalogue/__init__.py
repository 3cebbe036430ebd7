"""Which WAV files there are, and what their headers say."""
