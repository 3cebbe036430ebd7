"""Files coded by a model that computes in floats: exact only where the floats are the same.

rows: channels as chunks side by side. step: the one compiled step. frequencies: from its floats to
integers, and to bits. coder: all of it.
"""
