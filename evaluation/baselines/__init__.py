"""Other lossless codecs on the same samples."""
