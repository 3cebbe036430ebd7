"""What a run measures of itself, and where that is written."""
