"""Training runs: reading their folders, plotting their curves, comparing them."""
