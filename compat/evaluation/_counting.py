"""Ranks of relevant items, by counting what scores above them."""

from __future__ import annotations

import numpy as np

from registry.arrays import Float32Array, Int64Array

from ._relevance import Relevance
from ._ties import Ranks

_BUCKETS = 2**16  # of a long row
_MOST_BUCKETS = 2**18  # where many items are relevant: more no longer fit in the cache
_EACH = 2**8  # buckets for each relevant item, so that few scores share one with it
_TILE = 2**16  # scores whose buckets are found at a time


def rank_positives(scores: Float32Array, relevance: Relevance, excluded: Int64Array) -> Ranks:
    """Return the ranks of each query's relevant items, by counting what scores above them.

    An item's own score is read from the same product as the scores it is compared with, so that
    equality is exact.

    Args:
        scores: Shape: (n_queries, n_gallery)
        relevance: of the same queries, none empty, none holding its excluded item.
        excluded: gallery position that does not exist for the query, or -1. Shape: (n_queries,)
    """
    own = np.empty(len(relevance.indices), dtype=np.float32)
    above, tied = np.empty_like(relevance.indices), np.empty_like(relevance.indices)
    gains = None if relevance.gains is None else np.empty_like(relevance.gains)
    bounds = relevance.indptr.tolist()
    for row, start, stop in zip(scores, bounds[:-1], bounds[1:], strict=True):
        positions = relevance.indices[start:stop]
        ascending = row.take(positions)
        if gains is not None and relevance.gains is not None:
            gains[start:stop] = relevance.gains[start:stop][np.argsort(ascending)[::-1]]
        ascending.sort()
        higher, equal = _count_in_buckets(row, positions, ascending)
        own[start:stop] = ascending[::-1]  # best first, as Ranks wants them
        above[start:stop], tied[start:stop] = higher[::-1], equal[::-1]
    lost = np.repeat(scores[np.arange(len(scores)), excluded], relevance.n_relevant)
    exists = np.repeat(excluded >= 0, relevance.n_relevant)
    above -= exists & (lost > own)
    tied -= exists & (lost == own)
    return Ranks.from_counts(relevance.indptr, above, tied, gains)


def _count_in_buckets(
    row: Float32Array, positions: Int64Array, own: Float32Array
) -> tuple[Int64Array, Int64Array]:
    """Count by buckets: whole buckets at once, single scores only where a relevant item lies.

    The bucket of a score is a non-decreasing function of it, so whatever is in a higher bucket
    scores higher; only the scores that share a bucket with a relevant item are sorted.

    Args:
        row: all scores of one query. Shape: (n_gallery,)
        positions: its relevant items. Shape: (n_relevant,)
        own: their scores, ascending. Shape: (n_relevant,)
    """
    buckets, n_buckets = _buckets(row, _n_buckets(len(row), len(own)))
    own_buckets = buckets.take(positions)
    own_buckets.sort()
    holds_positive = np.zeros(n_buckets, dtype=np.bool_)
    holds_positive[own_buckets] = True
    near = row.compress(holds_positive.take(buckets))
    near.sort()
    not_higher = near.searchsorted(own, side="right")
    equal = not_higher - near.searchsorted(own, side="left")
    sizes = np.bincount(buckets, minlength=n_buckets)
    sizes[own_buckets] = 0  # what is left is far: not in a bucket with a relevant item
    far_below = sizes.cumsum().take(own_buckets)
    return len(row) - far_below - not_higher, equal.astype(np.int64)


def _n_buckets(n_scores: int, n_relevant: int) -> int:
    return min(n_scores, max(_BUCKETS, min(_MOST_BUCKETS, _EACH * n_relevant)))


def _buckets(row: Float32Array, n_buckets: int) -> tuple[Int64Array, int]:
    """Return the bucket of each score, even slices of the range from lowest to highest."""
    low, high = row.min(), row.max()
    spread = float(high) - float(low)
    if not 1e-30 < spread < 1e30:  # the scale would leave float32: one bucket, all sorted
        return np.zeros(len(row), dtype=np.int64), 1
    scale = np.float32(n_buckets / spread)
    buckets = np.empty(len(row), dtype=np.int64)
    for start in range(0, len(row), _TILE):
        heights = row[start : start + _TILE] - low
        heights *= scale
        # by way of int32, which is quicker than straight to int64
        buckets[start : start + _TILE] = heights.astype(np.int32)
    return buckets, n_buckets + 2  # rounding may reach one past the last
