"""Norms of rows, computed in one way everywhere that vectors meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ..arrays import Float32Array, Float64Array

_ROWS_AT_ONCE = 2**16


def squared_norms(vectors: Float32Array) -> Float64Array:
    """Return the squared L2 norm of every row, summed in float64. Shape: (n, dim) -> (n,)."""
    norms: Float64Array = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    return norms


def row_norms(vectors: Float32Array) -> Float32Array:
    """Return the L2 norm of every row. Shape: (n, dim) -> (n,)."""
    return np.sqrt(squared_norms(vectors)).astype(np.float32)


def inverse_norms(vectors: Float32Array) -> Float32Array:
    """Return 1 / L2 norm of every row, and 0 for a row of zeros. Shape: (n, dim) -> (n,)."""
    norms = row_norms(vectors)
    inverse: Float32Array = np.divide(
        np.float32(1), norms, out=np.zeros_like(norms), where=norms > 0
    )
    return inverse


def normalise(vectors: Float32Array) -> Float32Array:
    """Return new contiguous rows of unit L2 norm; a row of zeros stays. Shape: (n, dim)."""
    norms = row_norms(vectors)
    norms[norms == 0] = 1
    scaled: Float32Array = np.divide(vectors, norms[:, None], order="C")
    return scaled


def in_chunks(
    blocks: Iterable[Float32Array], rows: int = _ROWS_AT_ONCE
) -> Iterator[tuple[int, Float32Array]]:
    """Yield the blocks in views of at most `rows` rows, each with its first row's position."""
    first = 0
    for block in blocks:
        for start in range(0, len(block), rows):
            yield first + start, block[start : start + rows]
        first += len(block)
