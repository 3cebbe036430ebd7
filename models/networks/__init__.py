"""Networks: from embeddings of the past to hidden states, a module for each kind."""
