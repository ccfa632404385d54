"""What the search that will serve finds: the gallery's own index, not the exact search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from registry.arrays import BoolArray, Float32Array
from registry.domain.galleries import Metric
from registry.galleries.search import SearchTarget, search_segments

from .cells import SearchedItems, itself_among, own_positions, relevance_of
from .matrix import ByMetric
from .probes import Labels

DEPTH = 10


def measure_served(
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    metric: Metric,
) -> ByMetric:
    """Return hit@1, hit@5 and recall@10 of each query by the search that will serve.

    Equal scores stand as the search orders them, by id.

    Args:
        targets: opened segments, each with the contract by which it will be searched.
        queries: vectors of the queries. Shape: (n_queries, dim).
        asked: the queries.
        items: the items of those segments.
        metric: the gallery's metric.
    """
    found = find_served(targets, queries, asked, items, metric, depth=DEPTH)
    n_relevant = relevance_of(asked, items).without(itself_among(asked, items)).n_relevant
    return {
        "hit@1": found[:, 0].astype(np.float64),
        "hit@5": found[:, :5].any(axis=1).astype(np.float64),
        f"recall@{DEPTH}": found.sum(axis=1) / n_relevant,
    }


def find_served(
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    metric: Metric,
    *,
    depth: int,
) -> BoolArray:
    """Return which of each query's first hits, as many as `depth`, are relevant; never itself.

    Other arguments are those of `measure_served`.

    Returns:
        Shape: (n_queries, depth), or fewer columns if there are not so many items.
    """
    hits = search_segments(targets, queries, min(depth + 1, len(items.ids)), metric)
    found = own_positions(hits.ids.ravel(), items.ids).reshape(hits.ids.shape)
    found[np.isneginf(hits.scores)] = -1
    itself = itself_among(asked, items)[:, None]
    is_itself = (found == itself) & (itself >= 0)
    relevance = relevance_of(asked, items)
    is_relevant = np.stack([relevance.holds(column) for column in found.T], axis=1) & ~is_itself
    others_first = np.argsort(is_itself, axis=1, kind="stable")
    return np.take_along_axis(is_relevant, others_first, axis=1)[:, :depth]
