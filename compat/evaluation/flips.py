"""Flips: which queries an upgrade breaks and mends, and which it provably cannot break.

References:
    [1] Yan et al., "Positive-congruent training: towards regression-free model updates",
        CVPR 2021.
    [2] The margin certificate of spherical interpolation between old and mapped new queries
        ("SLERP", NeurIPS 2026): a top-K margin changes by at most 2 ||q - q'||. Applied here to
        the old query and the new one as the contract serves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float32Array, Float64Array, Int64Array

from ._arguments import check_queries, checked_excluded
from ._places import PairPlaces
from ._relevance import Relevance
from ._scoring import stream_scores
from ._top import TopItems

__all__ = [
    "Flips",
    "Guarantee",
    "find_flips",
    "guarantee_first_hits",
    "guarantee_hits",
    "guarantee_top",
]

UNIT = 1e-4  # how far from 1 a norm may be; what that can hide is taken off the margin
_ROUNDING = 2.0**-24  # of float32, for each product of a score


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """Success of the same queries with the old and the new model: share of the chances that flip.

    A fractional hit, which arises from equal scores, is a chance; the two models' chances are
    taken as independent. Without fractions the numbers are 0 and 1.

    Attributes:
        negative: right, then wrong. Shape: (n_queries,)
        positive: wrong, then right. Shape: (n_queries,)
    """

    negative: Float64Array
    positive: Float64Array

    @property
    def negative_rate(self) -> float:
        """NFR [1]."""
        return float(self.negative.mean())

    @property
    def positive_rate(self) -> float:
        """PFR [1]; PFR - NFR is the difference of the mean hits."""
        return float(self.positive.mean())


def find_flips(old_hit: Float64Array, new_hit: Float64Array) -> Flips:
    """Return which queries flip.

    Args:
        old_hit: hit@k of each query with the old model, in [0, 1]. Shape: (n_queries,)
        new_hit: the same queries with the new model. Shape: (n_queries,)

    Raises:
        ValueError: if shapes differ, are empty, or a value is outside [0, 1].
    """
    if old_hit.shape != new_hit.shape or old_hit.ndim != 1 or len(old_hit) == 0:
        raise ValueError(
            f"hits must be two 1-d arrays of one length but got {old_hit.shape}, {new_hit.shape}"
        )
    if not all(np.all((hit >= 0) & (hit <= 1)) for hit in (old_hit, new_hit)):
        raise ValueError("hits must be in [0, 1] but some are outside or NaN")
    return Flips(old_hit * (1.0 - new_hit), (1.0 - old_hit) * new_hit)


@dataclass(frozen=True, slots=True, eq=False)
class Guarantee:
    """Which queries cannot lose their hit, whatever the gallery's other scores.

    Attributes:
        margin: by how much the hit stands above what could displace it, in cosine; negative
            where there is no hit to lose, infinite where nothing could. Shape: (n_queries,)
        movement: angle between the old query and the new one, in radians. Shape: (n_queries,)
        is_guaranteed: whether the movement is below 2 arcsin(margin / 4). Shape: (n_queries,)
    """

    margin: Float64Array
    movement: Float64Array
    is_guaranteed: BoolArray

    @property
    def coverage(self) -> float:
        """Share of the queries that have a guarantee."""
        return float(self.is_guaranteed.mean())


def guarantee_hits(
    old_queries: Float32Array,
    new_queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    *,
    k: int = 1,
    excluded: Int64Array | None = None,
) -> Guarantee:
    """Guarantee that a relevant item stays among the first `k`, from the old scores alone.

    The margin m is the best relevant score less the k-th best score of an item that is not
    relevant. For unit vectors a score <q, g> changes by at most ||q - q'|| = 2 sin(angle / 2), so
    m by at most twice that; it stays positive, and the item above all but k - 1 others, if

        angle < 2 arcsin(m / 4)                                                              [2]

    That is the worst direction to move in, so the coverage is low where models differ much.
    What float32 and norms near 1 may hide is taken off the margin.

    Args:
        old_queries: unit vectors of the old model. Shape: (n_queries, dim)
        new_queries: the same queries by the new model, mapped or cut to the same dimensions and
            normalised again, as the contract serves them. Shape: (n_queries, dim)
        gallery: unit vectors of the old model, or blocks of them; a zero vector is allowed.
            Shape: (n_gallery, dim)
        relevance: relevant gallery positions; a query may have none, and then no guarantee.
        k: depth of the hit, at least 1.
        excluded: for each query the gallery position that does not exist for it, or -1.

    Raises:
        ValueError: if k is below 1, shapes disagree, or a vector is not of unit length.
    """
    check_queries(old_queries, relevance)
    lost = checked_excluded(excluded, relevance)
    if k < 1:
        raise ValueError(f"k must be at least 1 but is {k}")
    kept = relevance.without(lost)
    asking = np.repeat(np.arange(kept.n_queries), kept.n_relevant)
    losing = np.flatnonzero(lost >= 0)
    relevant, absent = PairPlaces(asking, kept.indices), PairPlaces(losing, lost[losing])
    best = np.full(len(old_queries), -np.inf, dtype=np.float32)
    others = np.full((len(old_queries), k), -np.inf, dtype=np.float32)
    blocks = [gallery] if isinstance(gallery, np.ndarray) else gallery
    for piece in stream_scores(
        old_queries, map(_checked_short, blocks), kept.n_gallery, is_l2=False
    ):
        which, rows, columns = relevant.within(piece)
        np.maximum.at(best, asking[which], piece.scores[rows, columns])
        for places in (relevant, absent):
            _, rows, columns = places.within(piece)
            piece.scores[rows, columns] = -np.inf
        _keep_best(others[piece.rows], piece.scores)
    has_hit = np.isfinite(best)
    margin = np.full(len(best), -np.inf)
    margin[has_hit] = best[has_hit].astype(np.float64) - others.min(axis=1)[has_hit]
    return _guarantee(margin, old_queries, new_queries)


def guarantee_top(
    old_queries: Float32Array, new_queries: Float32Array, top_scores: Float32Array
) -> Guarantee:
    """Guarantee that the first item stays the first one, without any label.

    As `guarantee_hits`, with the gap between rank 1 and rank 2 as margin.

    Args:
        old_queries: unit vectors of the old model. Shape: (n_queries, dim)
        new_queries: the same queries as the contract serves them. Shape: (n_queries, dim)
        top_scores: cosines of each old query's two best items, best first.
            Shape: (n_queries, at least 2)

    Raises:
        ValueError: if shapes disagree, or a query is not of unit length.
    """
    if top_scores.ndim != 2 or top_scores.shape[1] < 2 or len(top_scores) != len(old_queries):
        raise ValueError(
            f"top_scores must be ({len(old_queries)}, at least 2) but is {top_scores.shape}"
        )
    gap = top_scores[:, 0].astype(np.float64) - top_scores[:, 1]
    return _guarantee(gap, old_queries, new_queries)


def guarantee_first_hits(
    old_queries: Float32Array, new_queries: Float32Array, top: TopItems, is_relevant: BoolArray
) -> Guarantee:
    """Guarantee that a relevant item stays first, from the first items that are known already.

    As `guarantee_hits` with k = 1, without another look at the gallery: the margin is the first
    score less that of the first item which is not relevant. Where all known items are relevant the
    last of them stands for it, so that the margin may be larger than said, never smaller.

    Args:
        old_queries: unit vectors of the old model. Shape: (n_queries, dim)
        new_queries: the same queries as the contract serves them. Shape: (n_queries, dim)
        top: the first items of each old query among unit vectors of the old model, in cosine.
        is_relevant: whether each of them is relevant. Shape: (n_queries, k)

    Raises:
        ValueError: if shapes disagree, or a query is not of unit length.
    """
    if is_relevant.shape != top.scores.shape or len(is_relevant) != len(old_queries):
        raise ValueError(
            f"first items are of shape {top.scores.shape} for {len(old_queries)} queries, "
            f"but is_relevant is of shape {is_relevant.shape}"
        )
    scores = top.scores.astype(np.float64)
    others = np.where(is_relevant, -np.inf, scores).max(axis=1)  # -inf as well where items end
    is_all = is_relevant.all(axis=1)
    others[is_all] = scores[is_all, -1]
    margin = np.where(is_relevant[:, 0], scores[:, 0] - others, -np.inf)
    return _guarantee(margin, old_queries, new_queries)


def _guarantee(
    margin: Float64Array, old_queries: Float32Array, new_queries: Float32Array
) -> Guarantee:
    if old_queries.shape != new_queries.shape:
        raise ValueError(
            "old and new queries must be in one space, row by row, but have shapes "
            f"{old_queries.shape} and {new_queries.shape}; cut or map the new ones first"
        )
    old, new = (_checked_unit(q).astype(np.float64) for q in (old_queries, new_queries))
    old, new = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (old, new))
    movement = 2.0 * np.arcsin(np.minimum(np.linalg.norm(new - old, axis=1) / 2.0, 1.0))
    slack = 8.0 * (old.shape[1] + 4) * _ROUNDING  # two old scores and two new ones, twice over
    safe = np.clip((margin - slack) / (1.0 + UNIT) ** 2 / 4.0, 0.0, 1.0)
    return Guarantee(margin, movement, (movement < 2.0 * np.arcsin(safe)) | (margin == np.inf))


def _keep_best(best: Float32Array, scores: Float32Array) -> None:
    """Merge scores into the k best ones of each row, in place and in no order."""
    k = best.shape[1]
    if scores.shape[1] > k:
        scores = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k:]
    both = np.concatenate([best, scores], axis=1)
    best[:] = np.partition(both, both.shape[1] - k, axis=1)[:, -k:]


def _checked_unit(vectors: Float32Array) -> Float32Array:
    norms = np.linalg.norm(vectors, axis=1)
    _refuse_norms(norms[~(np.abs(norms - 1.0) <= UNIT)])
    return vectors


def _checked_short(vectors: Float32Array) -> Float32Array:
    norms = np.linalg.norm(vectors, axis=1)
    _refuse_norms(norms[~(norms <= 1.0 + UNIT)])
    return vectors


def _refuse_norms(wrong: Float32Array) -> None:
    if len(wrong):
        raise ValueError(
            f"vectors must be of unit length but {len(wrong)} are not, such as one of norm "
            f"{wrong[0]:g}; the bound holds for the cosine only: normalise both sides"
        )
