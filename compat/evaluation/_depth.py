"""How many relevant items of each query are so far down that all scores are compared with them."""

from __future__ import annotations

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array

from ._passes import count_true

_SHARE = 32  # one in so many gallery items is looked at
_MOST = 4096  # and at most so many
_ROOM = 1024  # they are counted in multiples of

# nanoseconds for each score of the gallery: they decide what is quicker, not what is right
_COMPARED = 0.2  # to compare one relevant item with it
_FOUND = 80.0  # to find it, if it reaches a relevant item, and to count it
COST_OF_HOLDING = 4.0  # what counting costs more where all scores are held, however many items


def worst_first(own: Float32Array, indptr: Int64Array) -> Float32Array:
    """Return the scores of each query's relevant items, ascending; inf where it has fewer.

    Args:
        own: Shape: (n_pairs,)
        indptr: where each query's scores start, and where the last one's end.

    Returns:
        Shape: (n_places, n_queries)
    """
    sizes = np.diff(indptr)
    places = np.arange(sizes.max())
    ascending = np.full((len(sizes), len(places)), np.inf, dtype=np.float32)
    ascending[places < sizes[:, None]] = own
    ascending.sort(axis=1)
    return np.ascontiguousarray(ascending.T)


def sampled_positions(n_gallery: int) -> Int64Array:
    """Return positions spread over the gallery, ascending."""
    n_sampled = min(_MOST, -(-n_gallery // _SHARE))
    return np.linspace(0, n_gallery - 1, n_sampled).astype(np.int64)


def plan_depth(own: Float32Array, scores: Float32Array) -> tuple[Int64Array, Float64Array]:
    """Return how many of each query's worst relevant items are best deep, and what that costs.

    Where m are, each of them costs a comparison with all scores, and of the scores only those
    that reach the others are looked at one by one. The m that costs least is returned. Scores of
    a sample, and rough ones, are enough for that: nothing but time depends on it.

    Args:
        own: scores of the relevant items, worst first; inf where a query has fewer.
            Shape: (n_places, n_rows)
        scores: of some of the gallery. Shape: (n_rows, n_sampled)

    Returns:
        Shape of both: (n_rows,)
    """
    n_places, n_rows = own.shape
    padded = np.full((n_rows, -(-scores.shape[1] // _ROOM) * _ROOM), -np.inf, dtype=np.float32)
    padded[:, : scores.shape[1]] = scores
    reached = np.zeros((n_places + 1, n_rows))
    for place in range(n_places):
        reached[place] = count_true(padded >= own[place, :, None]) / scores.shape[1]
    cost = _COMPARED * np.arange(n_places + 1)[:, None] + _FOUND * reached
    return np.argmin(cost, axis=0), cost.min(axis=0)
