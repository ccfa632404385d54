"""Exact thresholds on one half of the queries, and what the other half does at them.

As for quantiles of all impostors (`_impostors`), but counted by half: a first pass over the scores
counts the upper halves of their keys, a second one the lower halves of the few that are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float32Array, Int64Array

from ._impostors import N_BINS, bin_of_rank, keys_of, score_of
from ._pair_scores import PairScores
from ._passes import count_true
from ._scoring import Piece

_PENDING = 2**21  # scores that are counted at a time: 16 MiB of places
_NOBODY = np.float32(-np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class FirstPass:
    """What one pass over all impostors' scores shows.

    Attributes:
        upper: how many have each upper half of a key, by half. Shape: (2, N_BINS)
        best: best score of an impostor, -inf if there is none. Shape: (n_queries,)
        matches: impostors at or above each threshold. Shape: (n_queries, n_thresholds)
    """

    upper: Int64Array
    best: Float32Array
    matches: Int64Array


@dataclass(frozen=True, slots=True)
class Cut:
    """A threshold just above the best score that must not match.

    Attributes:
        threshold: the smallest one that keeps a rate on the queries that it was found on.
        n_above: impostors of each half that match at it.
    """

    threshold: np.float32
    n_above: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rate that is to be kept on one half of the queries, 0 or 1, or on all of them, None."""

    rate: float
    half: int | None = None


def pass_once(
    pairs: PairScores, halves: Int64Array, thresholds: Float32Array, *, is_counted: bool
) -> FirstPass:
    """Stream the scores once; the genuine ones are kept by `pairs`.

    Args:
        pairs: what is streamed.
        halves: 0 or 1. Shape: (n_queries,)
        thresholds: Shape: (n_thresholds,)
        is_counted: whether keys are counted; otherwise the counts are 0.
    """
    upper = np.zeros(2 * N_BINS, dtype=np.int64)
    best = np.full(len(halves), _NOBODY)
    matches = np.zeros((len(halves), len(thresholds)), dtype=np.int64)
    for piece in pairs.impostors():
        best[piece.rows] = np.maximum(best[piece.rows], piece.whole.max(axis=1))
        for column, threshold in enumerate(thresholds):
            matched = np.greater_equal(piece.whole, threshold, out=piece.flags)
            matches[piece.rows, column] += count_true(matched)
        if is_counted:
            places = halves[piece.rows, None] * N_BINS + (_keys(piece) >> np.uint32(16))
            upper += np.bincount(places.ravel(order="K"), minlength=2 * N_BINS)
    by_half = upper.reshape(2, N_BINS)
    by_half[:, int(keys_of(np.array([_NOBODY]))[0]) >> 16] = 0  # holds no finite score
    return FirstPass(by_half, best, matches)


def find_cuts(
    pairs: PairScores, halves: Int64Array, upper: Int64Array, wanted: Sequence[Wanted]
) -> list[Cut]:
    """Return the smallest thresholds that keep some rates, in one more pass.

    Args:
        pairs: what is streamed.
        halves: 0 or 1. Shape: (n_queries,)
        upper: what `pass_once` counted; a half that a rate is kept on has impostors.
        wanted: the rates.
    """
    if not wanted:
        return []
    ranks = [_rank(one, upper) for one in wanted]
    bins = [bin_of_rank(_of(one, upper), rank)[0] for one, rank in zip(wanted, ranks, strict=True)]
    row_of = np.full(N_BINS, -1, dtype=np.int64)
    distinct = sorted(set(bins))
    row_of[distinct] = np.arange(len(distinct))
    lower = _count_lower(pairs, halves, row_of, len(distinct))
    return [
        _cut(one, rank, place, upper, lower[:, row_of[place]])
        for one, rank, place in zip(wanted, ranks, bins, strict=True)
    ]


def _of(one: Wanted, counts: Int64Array) -> Int64Array:
    """Return the counts of the queries that a rate is kept on. Shape: (N_BINS,)."""
    chosen: Int64Array = counts.sum(axis=0) if one.half is None else counts[one.half]
    return chosen


def _rank(one: Wanted, upper: Int64Array) -> int:
    # a hair is added because 0.07 * 100 is 7.000000000000001 but may be just below
    return int(np.floor(one.rate * _of(one, upper).sum() * (1 + 1e-12)))


def _cut(one: Wanted, rank: int, place: int, upper: Int64Array, lower: Int64Array) -> Cut:
    """Return the threshold above the score that `rank` others precede, in the bin `place`.

    Args:
        one: what is kept on which queries.
        rank: how many may match.
        place: upper half of that score's key.
        upper: Shape: (2, N_BINS)
        lower: lower halves of the keys in that bin. Shape: (2, N_BINS)
    """
    above = upper[:, place + 1 :].sum(axis=1)
    first = int(_of(one, upper)[place + 1 :].sum())
    low, _ = bin_of_rank(_of(one, lower), rank - first)
    threshold = np.nextafter(score_of(place << 16 | low), np.float32(np.inf))
    n_above = above + lower[:, low + 1 :].sum(axis=1)
    return Cut(threshold, (int(n_above[0]), int(n_above[1])))


def _count_lower(
    pairs: PairScores, halves: Int64Array, row_of: Int64Array, n_rows: int
) -> Int64Array:
    """Count lower halves of the keys in the wanted bins. Shape: (2, n_rows, N_BINS)."""
    counts = np.zeros(2 * n_rows * N_BINS, dtype=np.int64)
    pending: list[Int64Array] = []
    for piece in pairs.impostors():
        keys = _keys(piece)
        rows = row_of[keys >> np.uint32(16)]
        at = np.nonzero(rows >= 0)
        lower = (keys[at] & np.uint32(N_BINS - 1)).astype(np.int64)
        pending.append((halves[piece.rows][at[0]] * n_rows + rows[at]) * N_BINS + lower)
        if sum(map(len, pending)) >= _PENDING:
            counts += np.bincount(np.concatenate(pending), minlength=len(counts))
            pending = []
    if pending:
        counts += np.bincount(np.concatenate(pending), minlength=len(counts))
    return counts.reshape(2, n_rows, N_BINS)


def _keys(piece: Piece) -> np.ndarray[tuple[int, int], np.dtype[np.uint32]]:
    """Return the keys of a piece's scores. Shape: (n_rows, n_items)."""
    return keys_of(piece.scores)
