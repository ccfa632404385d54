"""Passes over the scores of a piece while they are in the processor's cache."""

from __future__ import annotations

import numpy as np

from registry.arrays import BoolArray, Int64Array

_GROUP = 128  # words of flags that are added at a time: each of their 8 bytes stays below 256


def count_true(flags: BoolArray) -> Int64Array:
    """Count the true ones of each row, by sums of bytes in words, which are fast.

    Args:
        flags: contiguous. Shape: (n_rows, a multiple of 1024)
    """
    words = flags.view(np.uint64).reshape(len(flags), flags.shape[1] // (8 * _GROUP), _GROUP)
    bytes_ = np.add.reduce(words, axis=2).view(np.uint8)
    counts: Int64Array = bytes_.sum(axis=1, dtype=np.int64)
    return counts


def find_true(flags: BoolArray, most: float) -> tuple[Int64Array, Int64Array] | None:
    """Return row and column of the true ones in order, or None if they are more than a share.

    Args:
        flags: contiguous, most of them false. Shape: (n_rows, n)
        most: share of all.
    """
    found = np.flatnonzero(flags)
    if len(found) > most * flags.size:
        return None
    row, column = np.divmod(found, flags.shape[1])
    return row, column
