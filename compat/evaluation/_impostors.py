"""Exact quantiles of a stream of scores, by counting how often each kind of bits occurs.

A float32 without its sign's oddity is a whole number of 32 bits in the same order. A first pass
counts the upper 16 bits, a second one the lower 16 of those few upper halves that hold a wanted
quantile: exact, in memory that does not depend on how many scores there are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from registry.arrays import Float32Array, Int64Array

N_BINS = 2**16
_SIGN = np.uint32(2**31)
_ALL = np.uint32(2**32 - 1)

KeyArray = NDArray[np.uint32]


def keys_of(scores: Float32Array) -> KeyArray:
    """Return whole numbers that are ordered as the scores are. Shape: that of the scores."""
    bits = (scores + np.float32(0.0)).view(np.uint32)  # -0 becomes 0
    return bits ^ np.where(bits >= _SIGN, _ALL, _SIGN)


def score_of(key: int) -> np.float32:
    """Return the score that has a key."""
    bits = key - 2**31 if key >= 2**31 else 2**32 - 1 - key
    return np.float32(np.array(bits, dtype=np.uint32).view(np.float32))


def bin_of_rank(counts: Int64Array, rank: int) -> tuple[int, int]:
    """Return the bin of the score that `rank` others precede from the top, and its rank there."""
    down_to = np.cumsum(counts[::-1])
    place = int(np.searchsorted(down_to, rank, side="right"))
    return len(counts) - 1 - place, rank - (int(down_to[place - 1]) if place else 0)
