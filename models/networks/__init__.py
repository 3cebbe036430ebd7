"""From features of past samples to hidden states."""
