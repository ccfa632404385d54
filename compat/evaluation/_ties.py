"""Ranking metrics from ranks, in expectation over a random order of equal scores.

Items with one score form a group of ``t`` items, ``r`` of them relevant, below ``a`` items of
which ``b`` are relevant. A uniformly random order within each group makes position, precision
and success random; the closed forms below are their expectations, so that neither the storage
order of a gallery nor a model that maps everything to one vector can move a result.

References:
    [1] McSherry and Najork, "Computing information retrieval performance measures efficiently
        in the presence of tied scores", ECIR 2008, section 2.
    [2] Musgrave, Belongie and Lim, "A metric learning reality check", ECCV 2020, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array, Int64Array

_TABLE = 64  # harmonic numbers up to here are summed, beyond they are a series
_HARMONIC: Float64Array = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _TABLE + 1))])
_HARMONIC.flags.writeable = False
_PLACES = 256  # of a group that are summed at a time for the reciprocal rank


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Where the relevant items of some queries stand, best first within each query.

    Attributes:
        indptr: where each query's items start; no query is empty. Shape: (n_queries + 1,)
        above: items of the gallery that score strictly higher. Shape: (n_pairs,)
        tied: items of the gallery with the same score, itself included. Shape: (n_pairs,)
        relevant_above: relevant items that score strictly higher. Shape: (n_pairs,)
        relevant_tied: relevant items with the same score, itself included. Shape: (n_pairs,)
        gains: how relevant each is, or None if all are equally. Shape: (n_pairs,)
    """

    indptr: Int64Array
    above: Int64Array
    tied: Int64Array
    relevant_above: Int64Array
    relevant_tied: Int64Array
    gains: Float64Array | None = None

    @classmethod
    def from_counts(
        cls,
        indptr: Int64Array,
        above: Int64Array,
        tied: Int64Array,
        gains: Float64Array | None = None,
    ) -> Ranks:
        """Group the relevant items of a query that share a score, hence `above`."""
        opens = np.ones(len(above), dtype=np.bool_)
        opens[1:] = above[1:] != above[:-1]
        opens[indptr[:-1]] = True
        first = np.flatnonzero(opens)
        sizes = np.diff(first, append=len(above))
        before = first - np.repeat(indptr[:-1], np.diff(indptr))[first]
        return cls(indptr, above, tied, np.repeat(before, sizes), np.repeat(sizes, sizes), gains)


def average_precision(ranks: Ranks) -> Float64Array:
    """Return the expected average precision of each query [1]. Shape: (n_queries,).

    The item at place ``i`` of its group is relevant with probability ``r / t`` and has then on
    average ``b + 1 + (i - 1) (r - 1) / (t - 1)`` relevant items at or before rank ``a + i``.
    """
    return _mean_by_query(_precision(ranks, ranks.tied), ranks.indptr)


def average_precision_at_r(ranks: Ranks) -> Float64Array:
    """Return the expected MAP@R of each query [2]. Shape: (n_queries,).

    ``1 / R sum_{i <= R} precision(i) relevant(i)``, where R is the number of relevant items: the
    average precision without the items that come after rank R.
    """
    depth = np.repeat(np.diff(ranks.indptr), np.diff(ranks.indptr))
    within = np.clip(depth - ranks.above, 0, ranks.tied)
    return _mean_by_query(_precision(ranks, within), ranks.indptr)


def _precision(ranks: Ranks, n_places: Int64Array) -> Float64Array:
    """Return each relevant item's share of the precision at the first places of its group."""
    precision = np.where(n_places > 0, (ranks.relevant_above + 1.0) / (ranks.above + 1.0), 0.0)
    many = np.flatnonzero(ranks.tied > 1)
    a, b, t = ranks.above[many], ranks.relevant_above[many], ranks.tied[many]
    n = n_places[many]
    slope = (ranks.relevant_tied[many] - 1.0) / (t - 1.0)
    # sum_i (b + 1 + slope (i - 1)) / (a + i), shared by the group's r relevant items [1]
    total = slope * n + (b + 1.0 - slope * (a + 1.0)) * _harmonic_between(a, a + n)
    precision[many] = np.clip(total / t, 0.0, 1.0)
    return precision


def reciprocal_rank(ranks: Ranks) -> Float64Array:
    """Return the expected reciprocal rank of the first relevant item. Shape: (n_queries,).

    It is in the best group that holds one. Its place there is ``i`` if none of the places before
    it is relevant, ``P(i) = C(t - i, r - 1) / C(t, r)``, and its rank is then ``a + i``.
    """
    best = ranks.indptr[:-1]
    groups = np.stack([ranks.above[best], ranks.tied[best], ranks.relevant_tied[best]])
    (a, t, r), which = np.unique(groups, axis=1, return_inverse=True)
    expected = _harmonic_between(a, a + t) / t  # right where a single one is relevant
    expected[t == 1] = 1.0 / (a[t == 1] + 1.0)
    several = np.flatnonzero(r > 1)
    expected[several] = _first_of_several(a[several], t[several], r[several])
    return np.asarray(expected[which.reshape(-1)], dtype=np.float64)


def _first_of_several(a: Int64Array, t: Int64Array, r: Int64Array) -> Float64Array:
    """Return E[1 / (a + i)] for the first of r relevant places i among t, with r > 1."""
    total, missed = np.zeros(len(a)), np.ones(len(a))
    left = np.arange(len(a))
    for start in range(0, int((t - r + 1).max(initial=0)), _PLACES):
        before = start + np.arange(_PLACES)  # places before place i = before + 1
        others = np.maximum(t[left, None] - before, 1)
        misses = np.maximum(t[left, None] - r[left, None] - before, 0)
        survived = np.cumprod(misses / others, axis=1)  # no relevant place up to i
        reached = missed[left, None] * np.hstack([np.ones((len(left), 1)), survived[:, :-1]])
        hazard = np.minimum(r[left, None] / others, 1.0)
        total[left] += (reached * hazard / (a[left, None] + before + 1)).sum(axis=1)
        missed[left] *= survived[:, -1]
        left = left[missed[left] > 1e-18]  # what is left cannot be seen in the sum
        if len(left) == 0:
            break
    return total


def hit(ranks: Ranks, k: int) -> Float64Array:
    """Return the probability that a relevant item is among the first `k`. Shape: (n_queries,).

    Only the best group that holds a relevant item matters: of its ``t`` items ``s`` come into
    the first `k`, and all of them miss with the hypergeometric C(t - r, s) / C(t, s).
    """
    best = ranks.indptr[:-1]
    a, t, r = ranks.above[best], ranks.tied[best], ranks.relevant_tied[best]
    s = np.clip(k - a, 0, t)
    miss = np.ones(len(best), dtype=np.float64)
    for drawn in range(int(s.max())):
        inside = np.flatnonzero(drawn < s)
        misses_left = np.maximum(t[inside] - r[inside] - drawn, 0)
        miss[inside] *= misses_left / (t[inside] - drawn)
    return 1.0 - miss


def recall(ranks: Ranks, k: int) -> Float64Array:
    """Return the expected share of the relevant items among the first `k`. Shape: (n_queries,)."""
    return _mean_by_query(np.clip((k - ranks.above) / ranks.tied, 0.0, 1.0), ranks.indptr)


def ndcg(ranks: Ranks, k: int) -> Float64Array:
    """Return the expected nDCG of the first `k` of each query. Shape: (n_queries,).

    Linear gain and the discount ``1 / log2(rank + 1)``, as in trec_eval and BEIR; the ideal
    ranking has all the relevant items of the query. A group's discounts are averaged over its
    places [1], which is exact in expectation because DCG is linear in them.
    """
    starts, sizes = ranks.indptr[:-1], np.diff(ranks.indptr)
    deepest = min(k, int(max((ranks.above + ranks.tied).max(), sizes.max())))
    summed = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, deepest + 2)))])
    inside = np.flatnonzero(ranks.above < k)  # the others have no discount
    a, t = ranks.above[inside], ranks.tied[inside]
    gained = (summed[np.minimum(a + t, deepest)] - summed[a]) / t
    if ranks.gains is None:
        ideal = summed[np.minimum(sizes, deepest)]
    else:
        gained *= ranks.gains[inside]
        ideal = _ideal_dcg(ranks.gains, starts, sizes, k)
    query = np.repeat(np.arange(len(starts)), sizes)[inside]
    found = np.bincount(query, weights=gained, minlength=len(starts)) / ideal
    return np.asarray(np.minimum(found, 1.0), dtype=np.float64)


def _ideal_dcg(gains: Float64Array, starts: Int64Array, sizes: Int64Array, k: int) -> Float64Array:
    query = np.repeat(np.arange(len(starts)), sizes)
    descending = gains[np.lexsort((-gains, query))]
    place = np.arange(len(gains)) - np.repeat(starts, sizes)
    discounted = np.where(place < k, descending / np.log2(place + 2.0), 0.0)
    ideal: Float64Array = np.add.reduceat(discounted, starts)
    return ideal


def _mean_by_query(values: Float64Array, indptr: Int64Array) -> Float64Array:
    means: Float64Array = np.add.reduceat(values, indptr[:-1]) / np.diff(indptr)
    return means


def _harmonic_between(low: Int64Array, high: Int64Array) -> Float64Array:
    """Return sum_{low < i <= high} 1 / i without cancellation."""
    summed = _HARMONIC[np.minimum(high, _TABLE)] - _HARMONIC[np.minimum(low, _TABLE)]
    start = np.maximum(low, _TABLE).astype(np.float64)
    stop = np.maximum(high, _TABLE).astype(np.float64)
    rest = np.log1p((stop - start) / start) + _harmonic_rest(stop) - _harmonic_rest(start)
    return np.asarray(summed + rest, dtype=np.float64)


def _harmonic_rest(n: Float64Array) -> Float64Array:
    """Return H_n - ln n - gamma by its asymptotic series, exact to 1e-17 from n = 64 on."""
    squared = n * n
    return 1 / (2 * n) - (1 / 12 - (1 / 120 - 1 / (252 * squared)) / squared) / squared
