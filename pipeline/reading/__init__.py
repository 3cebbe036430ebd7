"""From chunk numbers to samples."""
