"""Metrics of a run: accumulated over steps, formatted, and written."""
