"""Ranking metrics from ranks, in expectation over a random order of equal scores.

Items with one score form a group of ``t`` items, ``r`` of them relevant, below ``a`` items of
which ``b`` are relevant. A uniformly random order within each group makes position, precision
and success random; the closed forms below are their expectations, so that neither the storage
order of a gallery nor a model that maps everything to one vector can move a result.

References:
    [1] McSherry and Najork, "Computing information retrieval performance measures efficiently
        in the presence of tied scores", ECIR 2008, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array, Int64Array

_TABLE = 64  # harmonic numbers up to here are summed, beyond they are a series
_HARMONIC: Float64Array = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, _TABLE + 1))])
_HARMONIC.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Where the relevant items of some queries stand, best first within each query.

    Attributes:
        indptr: where each query's items start; no query is empty. Shape: (n_queries + 1,)
        above: items of the gallery that score strictly higher. Shape: (n_pairs,)
        tied: items of the gallery with the same score, itself included. Shape: (n_pairs,)
        relevant_above: relevant items that score strictly higher. Shape: (n_pairs,)
        relevant_tied: relevant items with the same score, itself included. Shape: (n_pairs,)
    """

    indptr: Int64Array
    above: Int64Array
    tied: Int64Array
    relevant_above: Int64Array
    relevant_tied: Int64Array

    @classmethod
    def from_counts(cls, indptr: Int64Array, above: Int64Array, tied: Int64Array) -> Ranks:
        """Group the relevant items of a query that share a score, hence `above`."""
        opens = np.ones(len(above), dtype=np.bool_)
        opens[1:] = above[1:] != above[:-1]
        opens[indptr[:-1]] = True
        first = np.flatnonzero(opens)
        sizes = np.diff(first, append=len(above))
        before = first - np.repeat(indptr[:-1], np.diff(indptr))[first]
        return cls(indptr, above, tied, np.repeat(before, sizes), np.repeat(sizes, sizes))


def average_precision(ranks: Ranks) -> Float64Array:
    """Return the expected average precision of each query [1]. Shape: (n_queries,).

    The item at place ``i`` of its group is relevant with probability ``r / t`` and has then on
    average ``b + 1 + (i - 1) (r - 1) / (t - 1)`` relevant items at or before rank ``a + i``.
    """
    precision = (ranks.relevant_above + 1.0) / (ranks.above + 1.0)
    many = np.flatnonzero(ranks.tied > 1)
    a, b, t = ranks.above[many], ranks.relevant_above[many], ranks.tied[many]
    slope = (ranks.relevant_tied[many] - 1.0) / (t - 1.0)
    # sum_i (b + 1 + slope (i - 1)) / (a + i), shared by the group's r relevant items [1]
    total = slope * t + (b + 1.0 - slope * (a + 1.0)) * _harmonic_between(a, a + t)
    precision[many] = np.minimum(total / t, 1.0)
    return _mean_by_query(precision, ranks.indptr)


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
