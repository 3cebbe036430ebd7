"""The amplitudes of A-law and mu-law (ITU-T G.711), on the 16-bit scale."""

import numpy as np


def _alaw_table() -> np.ndarray:  # int32 [256]
    code = np.arange(256) ^ 0x55  # Even bits are inverted on the line.
    exponent, mantissa = code >> 4 & 7, code & 15
    # The middle of the interval; the lowest two segments have the same steps.
    magnitude = np.where(
        exponent == 0, 2 * mantissa + 1, (2 * mantissa + 33) << np.maximum(exponent - 1, 0)
    )
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int32) << 3


def _mulaw_table() -> np.ndarray:  # int32 [256]
    code = np.arange(256) ^ 0xFF  # All bits are.
    magnitude = ((2 * (code & 15) + 33) << (code >> 4 & 7)) - 33
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int32) << 2


ALAW = _alaw_table()
MULAW = _mulaw_table()
"""int32 [256], of each code."""
