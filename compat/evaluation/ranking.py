"""Ranking metrics of every query, streamed over the gallery.

An n_queries × n_gallery matrix is never held, and nothing is ranked in full: all metrics follow
from the ranks of the relevant items, and a rank is a count of the items that score higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array

from . import _ties
from ._arguments import check_metric, check_queries, checked_excluded
from ._jobs import Job
from ._relevance import Relevance
from ._top import TopItems
from .operating_points import OperatingPoints

__all__ = ["RankingScores", "Relevance", "TopItems", "score_rankings"]

_MIB = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class RankingScores:
    """Metrics of every query, never their means; all in [0, 1], larger is better.

    Attributes:
        average_precision: AP over the whole ranking; its mean is mAP. Shape: (n_queries,)
        hit: by k, whether a relevant item is among the first k (CMC-k); a fraction only where
            equal scores leave it to chance. Shape of each: (n_queries,)
        recall: by k, share of the relevant items among the first k. Shape of each: (n_queries,)
        n_relevant: relevant items that exist for the query. Shape: (n_queries,)
        ndcg: by k, nDCG of the first k, with linear gain and discount 1 / log2(rank + 1).
            Shape of each: (n_queries,)
        reciprocal_rank: 1 / rank of the first relevant item; its mean is MRR. Shape: (n_queries,)
        average_precision_at_r: AP of the first R ranks, where R items are relevant; its mean is
            mAP@R. Shape: (n_queries,)
        top: the first items of each query, if they were asked for.
        more: further numbers, in [0, 1] too, by their names. Shape of each: (n_queries,)
        points: what scores and thresholds do, if they were asked for.
    """

    average_precision: Float64Array
    hit: Mapping[int, Float64Array]
    recall: Mapping[int, Float64Array]
    n_relevant: Int64Array
    ndcg: Mapping[int, Float64Array] = field(default_factory=dict)
    reciprocal_rank: Float64Array | None = None
    average_precision_at_r: Float64Array | None = None
    top: TopItems | None = None
    more: Mapping[str, Float64Array] = field(default_factory=dict)
    points: OperatingPoints | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names that `metric` knows."""
        return tuple(self.by_name)

    def metric(self, name: str) -> Float64Array:
        """Return the per-query array behind a metric's name. Shape: (n_queries,).

        Args:
            name: ``mAP``, ``MRR``, ``mAP@R``, or ``hit@k``, ``recall@k``, ``nDCG@k`` with a k
                that was asked for, or one of `more`.

        Raises:
            ValueError: if nothing has that name.
        """
        by_name = self.by_name
        if name not in by_name:
            raise ValueError(f"no metric is named {name!r}; known: {', '.join(by_name)}")
        return by_name[name]

    @property
    def by_name(self) -> dict[str, Float64Array]:
        """The per-query array of every metric, by its name."""
        whole = {
            "mAP": self.average_precision,
            "MRR": self.reciprocal_rank,
            "mAP@R": self.average_precision_at_r,
        }
        found = {name: values for name, values in whole.items() if values is not None}
        for family, by_k in (("hit", self.hit), ("recall", self.recall), ("nDCG", self.ndcg)):
            found |= {f"{family}@{k}": values for k, values in by_k.items()}
        return found | dict(self.more)


def score_rankings(  # noqa: PLR0913 (one door, three arrays and four named settings)
    queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    *,
    ks: Sequence[int] = (1, 5, 10),
    excluded: Int64Array | None = None,
    metric: Literal["inner_product", "l2"] = "inner_product",
    memory_bytes: int = 256 * _MIB,
    top_k: int = 0,
    n_threads: int = 1,
) -> RankingScores:
    """Rank the whole gallery for every query and return each query's metrics.

    Equal scores are ranked in expectation over a uniformly random order [1], so results do not
    depend on the order of the gallery, and a model that gives every item one vector gets chance.
    Scores are computed in float32; equal vectors score exactly equal.

    With up to 64 relevant items a query, scores are counted while they are in the cache and
    never held: memory does not grow with the gallery, which is read twice for as many queries as
    fit. With more, and where so many are ranked low that it is quicker, all scores of a query are
    held and counted in buckets, and only those in a bucket with a relevant item are sorted, by
    value; when all scores fall into such buckets, as in a collapsed model, that is a sort of the
    row.

    Args:
        queries: Shape: (n_queries, dim). For cosine similarity, normalise both sides before.
        gallery: one array or blocks of one gallery, in order; blocks may be memory-mapped and
            are read once for every block of queries. Shape: (n_gallery, dim)
        relevance: relevant gallery positions of each query.
        ks: depths for hit@k, recall@k and nDCG@k, each at least 1.
        excluded: for each query the gallery position that does not exist for it (itself, in
            leave-one-out), or -1. Shape: (n_queries,)
        metric: inner product, or -||q - g||^2.
        memory_bytes: upper bound of the scores and ranks that are held at a time, for as many
            queries as fit.
        top_k: how many first items of each query are returned too, in the same pass.
        n_threads: threads that score and count, at least 1. BLAS is held to one thread while they
            share, in the whole process; so rankings are made one at a time.

    Raises:
        ValueError: if shapes disagree, a setting is out of range, a score is NaN or infinite, or
            queries are left without a relevant item.

    References:
        [1] McSherry and Najork, ECIR 2008; the closed forms are in `_ties`.
    """
    is_l2 = check_metric(metric)
    check_queries(queries, relevance)
    if top_k < 0:
        raise ValueError(f"top_k must be at least 0 but is {top_k}")
    if n_threads < 1:
        raise ValueError(f"n_threads must be at least 1 but is {n_threads}")
    depths, excluded = _checked_ks(ks), checked_excluded(excluded, relevance)
    relevance = relevance.without(excluded)
    _check_answerable(relevance)
    blocks = [gallery] if isinstance(gallery, np.ndarray) else gallery
    job = Job(queries, blocks, relevance, excluded, is_l2, top_k, memory_bytes, n_threads)
    rows, ranks, tops = zip(*job.run(), strict=True)
    return _joined(np.concatenate(rows), [_metrics_of(r, depths) for r in ranks], tops, depths)


def _metrics_of(ranks: _ties.Ranks, ks: Sequence[int]) -> RankingScores:
    return RankingScores(
        average_precision=_ties.average_precision(ranks),
        hit={k: _ties.hit(ranks, k) for k in ks},
        recall={k: _ties.recall(ranks, k) for k in ks},
        n_relevant=np.diff(ranks.indptr),
        ndcg={k: _ties.ndcg(ranks, k) for k in ks},
        reciprocal_rank=_ties.reciprocal_rank(ranks),
        average_precision_at_r=_ties.average_precision_at_r(ranks),
    )


def _joined(
    rows: Int64Array,
    parts: Sequence[RankingScores],
    tops: Sequence[TopItems | None],
    ks: Sequence[int],
) -> RankingScores:
    """Return the scores of parts of the queries as one, in the order of the queries."""
    order = np.argsort(rows)

    def whole(name: str) -> Float64Array:
        return np.concatenate([part.metric(name) for part in parts])[order]

    held = [top for top in tops if top is not None]
    return RankingScores(
        average_precision=whole("mAP"),
        hit={k: whole(f"hit@{k}") for k in ks},
        recall={k: whole(f"recall@{k}") for k in ks},
        n_relevant=np.concatenate([part.n_relevant for part in parts])[order],
        ndcg={k: whole(f"nDCG@{k}") for k in ks},
        reciprocal_rank=whole("MRR"),
        average_precision_at_r=whole("mAP@R"),
        top=TopItems(
            np.concatenate([top.positions for top in held])[order],
            np.concatenate([top.scores for top in held])[order],
        )
        if held
        else None,
    )


def _checked_ks(ks: Sequence[int]) -> Sequence[int]:
    if any(k != int(k) or k < 1 for k in ks) or len(set(ks)) != len(ks):
        raise ValueError(f"ks must be different whole numbers from 1 on but got {tuple(ks)}")
    return [int(k) for k in ks]


def _check_answerable(relevance: Relevance) -> None:
    if relevance.n_queries == 0:
        raise ValueError("at least one query is needed but got none")
    n_lost = int(np.count_nonzero(relevance.n_relevant == 0))
    if n_lost:
        raise ValueError(
            f"{n_lost} of {relevance.n_queries} queries have no relevant item in the gallery; "
            "leave them out: no ranking of them can be right"
        )
