"""The adaptive model as a codec needs it: the same bits on every machine."""
