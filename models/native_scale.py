"""The scale that samples have by nature: 8 bits in a file of 16, or 16 where all is read as 24.

Samples that were scaled up are multiples of a power of two. A model for which each of them could be
anything pays for the low bits; so these are taken away first, and a byte tells how many.
"""

import numpy as np

SHIFT_BITS = 8
"""What it takes to tell how many low bits were taken away, where there are any."""


def common_zeros(samples: np.ndarray) -> int:
    """Returns how many low bits are zero in all of some integers; 0 in silence.

    Of all channels together: filters of one read samples of another, in the same unit.
    """
    bits = int(np.bitwise_or.reduce(samples, axis=None))
    return (bits & -bits).bit_length() - 1 if bits else 0


def least_depth(samples: np.ndarray) -> int:
    """Returns the least of 8, 16, 24 and 32 bits whose range holds all of some integers.

    At the ends of that range recordings are clipped, which a model may expect.
    """
    half = max(int(samples.max(initial=0)) + 1, -int(samples.min(initial=0)))
    return next(depth for depth in (8, 16, 24, 32) if half <= 2 ** (depth - 1))
