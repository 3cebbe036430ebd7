"""The WAV format.

riff: the parts of a file. encoding: what 'fmt ' says of the samples. header: both together, where
the samples lie. decode: the payload as integers, in the graph.
"""
