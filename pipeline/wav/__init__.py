"""The WAV format.

riff: the RIFF chunks of a file. encoding: how the 'fmt ' chunk describes samples. header: both
together, where the samples lie. decode: the payload as integers, in the graph. encode: its inverse.
"""
