"""The lossless codec: any file becomes a smaller one, and comes back byte for byte.

container: what the file looks like. source: a WAV as samples, and the bytes around them. kernel,
range_coder: a channel of a segment as bits. compress, decompress: whole files.
"""
