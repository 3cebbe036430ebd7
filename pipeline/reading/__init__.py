"""From the numbers of chunks to their samples."""
