"""From hidden states to the probability of a sample."""
