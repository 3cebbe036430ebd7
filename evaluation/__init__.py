"""How good a model is: bits per sample, beside other codecs, and what shows them."""
