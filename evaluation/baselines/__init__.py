"""What other codecs need for the same samples."""
