"""From hidden states to the probability distribution of a sample."""
