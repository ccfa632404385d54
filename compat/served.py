"""What the search that will serve finds: the gallery's own index, not the exact search."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from registry.arrays import BoolArray, Float32Array, Float64Array, Int64Array
from registry.domain.galleries import Metric
from registry.domain.places import ON_SERVED
from registry.domain.policies import Policy
from registry.domain.requirements import INDEX_RECALL, KEPT
from registry.galleries.search import SearchTarget, search_segments

from .cells import SearchedItems, itself_among, own_positions, relevance_of
from .evaluation.ranking import Relevance, TopItems
from .matrix import ByMetric
from .probes import Labels

_USUAL = ("hit@1", "hit@5", "recall@10")


def measure_served(  # noqa: PLR0913 -- whose queries, on what, and what is wanted
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    metric: Metric,
    *,
    wanted: Sequence[str] = (),
    exact: TopItems | None = None,
) -> ByMetric:
    """Return hit@1, hit@5, recall@10 and what else is wanted of the search that will serve.

    Equal scores stand as the search orders them, by id. ``index-recall@k`` is the share of the
    first k items of the exact search that are among the first k found.

    Args:
        targets: opened segments, each with the contract by which it will be searched.
        queries: vectors of the queries. Shape: (n_queries, dim).
        asked: the queries.
        items: the items of those segments.
        metric: the gallery's metric.
        wanted: further ``hit@k``, ``recall@k`` and ``index-recall@k``.
        exact: the first items of the exact search, as many as the largest ``index-recall@k`` asks
            for; only needed for that.
    """
    names = dict.fromkeys((*_USUAL, *wanted))
    depth = max(int(name.partition("@")[2]) for name in names)
    found = search_served(targets, queries, asked, items, metric, depth=depth)
    kept = relevance_of(asked, items).without(itself_among(asked, items))
    is_relevant = _relevant(kept, found)

    def number(name: str) -> Float64Array:
        family, _, text = name.partition("@")
        k = int(text)
        if name.startswith(INDEX_RECALL):
            return _overlap(found[:, :k], exact, k)
        n_found = is_relevant[:, :k].sum(axis=1)
        possible = np.ones_like(n_found) if family == "hit" else kept.n_relevant
        return np.minimum(np.asarray(n_found / possible, np.float64), 1.0)

    return {name: number(name) for name in names}


def served_metrics(policy: Policy) -> tuple[str, ...]:
    """Return what a policy requires of the gallery's own index."""
    names = [rule.metric for rule in policy.requirements if rule.on == ON_SERVED]
    return tuple(name.replace(KEPT, "hit@") for name in names)


def exactly_served(by_metric: ByMetric, policy: Policy) -> ByMetric:
    """Return the numbers of an index that is exact: those of the exact search, and full recall."""
    n_queries = len(next(iter(by_metric.values())))
    names = [name for name in served_metrics(policy) if name.startswith(INDEX_RECALL)]
    return {**by_metric, **{name: np.ones(n_queries) for name in names}}


def _overlap(found: Int64Array, exact: TopItems | None, k: int) -> Float64Array:
    if exact is None or exact.positions.shape[1] < k:
        raise ValueError(f"{INDEX_RECALL}{k} needs the first {k} items of the exact search")
    best = exact.positions[:, :k]
    is_there = best >= 0
    is_found = (best[:, :, None] == found[:, None, :]).any(axis=2) & is_there
    return np.asarray(is_found.sum(axis=1) / np.maximum(is_there.sum(axis=1), 1))


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
    found = search_served(targets, queries, asked, items, metric, depth=depth)
    return _relevant(relevance_of(asked, items).without(itself_among(asked, items)), found)


def search_served(
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    metric: Metric,
    *,
    depth: int,
) -> Int64Array:
    """Return where each query's first hits stand among the items, -1 for none; never itself.

    Arguments and shape are those of `find_served`.
    """
    hits = search_segments(targets, queries, min(depth + 1, len(items.ids)), metric)
    found = own_positions(hits.ids.ravel(), items.ids).reshape(hits.ids.shape)
    found[np.isneginf(hits.scores)] = -1
    itself = itself_among(asked, items)[:, None]
    is_itself = (found == itself) & (itself >= 0)
    others_first = np.argsort(is_itself, axis=1, kind="stable")
    found[is_itself] = -1
    return np.take_along_axis(found, others_first, axis=1)[:, :depth]


def _relevant(relevance: Relevance, found: Int64Array) -> BoolArray:
    return np.stack([relevance.holds(column) for column in found.T], axis=1)
