"""The nearest of many vectors, by cosine, while they stream by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array
from registry.galleries.geometry import in_chunks, normalise

from ._scoring import CHUNK, Piece, stream_scores

_DECIMALS = 6  # of a cosine: products in float32 hold no more


def nearest_cosines(
    queries: Float32Array, blocks: Sequence[Float32Array]
) -> tuple[Float64Array, Int64Array]:
    """Return the largest cosine of each query with any vector of the blocks, and where that is.

    The blocks are read once, and what is held does not grow with them. Cosines are rounded to six
    decimals, so that a vector's with its own copy is 1; with a vector of zeros it is 0.

    Args:
        queries: finite float32, none all zero. Shape: (n_queries, dim).
        blocks: finite float32, in order. Shape of each: (any, dim).

    Returns:
        The cosines, and the positions among all vectors: the first where there are equals.
        Shape of each: (n_queries,).

    Raises:
        ValueError: if there is no query or no vector, or a block has another dim.
    """
    n_vectors = sum(len(block) for block in blocks)
    if not len(queries) or not n_vectors:
        raise ValueError(f"cosines need both but got {len(queries)} queries, {n_vectors} vectors")
    best = np.full(len(queries), -np.inf, dtype=np.float32)
    places = np.zeros(len(queries), dtype=np.int64)
    units = (normalise(chunk) for _, chunk in in_chunks(blocks, CHUNK))
    for piece in stream_scores(normalise(queries), units, n_vectors, is_l2=False):
        _keep_best(piece, best[piece.rows], places[piece.rows])
    cosines = np.clip(best.astype(np.float64), -1, 1).round(_DECIMALS)
    return cosines + 0.0, places  # which makes -0.0 the same as 0.0


def _keep_best(piece: Piece, best: Float32Array, places: Int64Array) -> None:
    """Put in what is better in this piece; few rows are looked through for where it stands."""
    largest = piece.scores.max(axis=1)
    better = np.flatnonzero(largest > best)
    best[better] = largest[better]
    places[better] = piece.first + piece.scores[better].argmax(axis=1)
