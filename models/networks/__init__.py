"""From features of the past to hidden states."""
