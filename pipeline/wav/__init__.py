"""The WAV format.

riff: the RIFF chunks of a file. data_size: how many bytes of samples there are, where its header is
wrong about it. encoding: how the 'fmt ' chunk describes samples. header: all together, where the
samples lie. float_check: whether floats are of full scale 1. decode: the payload as integers, in
the graph. pcm_bytes: its inverse.
"""
