"""Signals made of integers alone, and so the same on every machine."""

import numpy as np


def noise(size: int, seed: int, amplitude: int = 1000) -> np.ndarray:
    """Uniform integers in [-amplitude, amplitude), int32 [size]."""
    state, values = np.uint64(seed), np.empty(size, np.int32)
    with np.errstate(over="ignore"):
        for i in range(size):
            # Knuth's linear congruential generator of 64 bits, MMIX.
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            values[i] = int(state >> np.uint64(40)) % (2 * amplitude) - amplitude
    return values


def tones(size: int, seed: int = 1) -> np.ndarray:
    """Three decaying resonances that noise strikes now and then, int32 [size]."""
    strikes = noise(size, seed, 3000)
    total = np.zeros(size, np.int64)
    for period, (a, b) in enumerate(((31000, -15800), (28000, -16000), (-9000, -16200))):
        last = before = 0
        for t in range(size):
            strike = int(strikes[t]) if (t + 97 * period) % 701 < 20 else 0
            # Integers: a and b are in 2^-14.
            last, before = ((a * last + b * before) >> 14) + strike, last
            total[t] += last
    return (total + noise(size, seed + 1, 8)).astype(np.int32).clip(-32768, 32767)
