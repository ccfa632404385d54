"""Ranking metrics of every query, streamed over the gallery.

The scores of one block of queries are held at a time, never an n_queries × n_gallery matrix, and
nothing is ranked in full: all metrics follow from the ranks of the relevant items, and a rank is
a count of the items that score higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array

from . import _ties
from ._arguments import check_metric, check_queries, checked_excluded
from ._counting import rank_positives
from ._relevance import Relevance
from ._scoring import exactly, padded, score_block

__all__ = ["RankingScores", "Relevance", "score_rankings"]

_MIB = 2**20
_PAIR_BYTES = 128  # working memory for the ranks of one relevant item


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
    """

    average_precision: Float64Array
    hit: Mapping[int, Float64Array]
    recall: Mapping[int, Float64Array]
    n_relevant: Int64Array
    ndcg: Mapping[int, Float64Array] = field(default_factory=dict)
    reciprocal_rank: Float64Array | None = None
    average_precision_at_r: Float64Array | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names that `metric` knows."""
        return tuple(self._by_name())

    def metric(self, name: str) -> Float64Array:
        """Return the per-query array behind a metric's name. Shape: (n_queries,).

        Args:
            name: ``mAP``, ``MRR``, ``mAP@R``, or ``hit@k``, ``recall@k``, ``nDCG@k`` with a k
                that was asked for.

        Raises:
            ValueError: if nothing has that name.
        """
        by_name = self._by_name()
        if name not in by_name:
            raise ValueError(f"no metric is named {name!r}; known: {', '.join(by_name)}")
        return by_name[name]

    def _by_name(self) -> dict[str, Float64Array]:
        whole = {
            "mAP": self.average_precision,
            "MRR": self.reciprocal_rank,
            "mAP@R": self.average_precision_at_r,
        }
        found = {name: values for name, values in whole.items() if values is not None}
        for family, by_k in (("hit", self.hit), ("recall", self.recall), ("nDCG", self.ndcg)):
            found |= {f"{family}@{k}": values for k, values in by_k.items()}
        return found


def score_rankings(  # noqa: PLR0913 (one door, three arrays and four named settings)
    queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    *,
    ks: Sequence[int] = (1, 5, 10),
    excluded: Int64Array | None = None,
    metric: Literal["inner_product", "l2"] = "inner_product",
    memory_bytes: int = 256 * _MIB,
) -> RankingScores:
    """Rank the whole gallery for every query and return each query's metrics.

    Equal scores are ranked in expectation over a uniformly random order [1], so results do not
    depend on the order of the gallery, and a model that gives every item one vector gets chance.
    Scores are computed in float32; equal vectors score exactly equal.

    With few relevant items each is compared with all scores of its query. With many, scores are
    counted in buckets and only those in a bucket with a relevant item are sorted, by value; when
    all scores fall into such buckets, as in a collapsed model, that is a sort of the row.

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

    Raises:
        ValueError: if shapes disagree, a setting is out of range, a score is NaN or infinite, or
            queries are left without a relevant item.

    References:
        [1] McSherry and Najork, ECIR 2008; the closed forms are in `_ties`.
    """
    is_l2 = check_metric(metric)
    check_queries(queries, relevance)
    depths, excluded = _checked_ks(ks), checked_excluded(excluded, relevance)
    relevance = relevance.without(excluded)
    _check_answerable(relevance)
    blocks = [gallery] if isinstance(gallery, np.ndarray) else gallery
    n_queries, n_gallery = relevance.n_queries, relevance.n_gallery
    n_rows = min(n_queries, _rows_that_fit(relevance, memory_bytes))
    scores = np.empty((n_rows, padded(n_gallery)), dtype=np.float32)
    found = []
    for start in range(0, n_queries, n_rows):
        stop = min(start + n_rows, n_queries)
        block = scores[: stop - start]
        streamed = exactly(blocks, n_gallery)
        score_block(queries[start:stop], streamed, block, is_l2=is_l2)
        rows = relevance.rows(start, stop)
        ranks = rank_positives(block[:, :n_gallery], rows, excluded[start:stop])
        found.append(_metrics_of(ranks, depths))
    return _joined(found, depths)


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


def _joined(parts: Sequence[RankingScores], ks: Sequence[int]) -> RankingScores:
    """Return the scores of blocks of queries as one."""

    def whole(name: str) -> Float64Array:
        return np.concatenate([part.metric(name) for part in parts])

    return RankingScores(
        average_precision=whole("mAP"),
        hit={k: whole(f"hit@{k}") for k in ks},
        recall={k: whole(f"recall@{k}") for k in ks},
        n_relevant=np.concatenate([part.n_relevant for part in parts]),
        ndcg={k: whole(f"nDCG@{k}") for k in ks},
        reciprocal_rank=whole("MRR"),
        average_precision_at_r=whole("mAP@R"),
    )


def _rows_that_fit(relevance: Relevance, memory_bytes: int) -> int:
    most = int(relevance.n_relevant.max())
    row_bytes = 4 * padded(relevance.n_gallery) + _PAIR_BYTES * most
    if memory_bytes < row_bytes:
        raise ValueError(
            f"memory_bytes must hold at least one query, {row_bytes}, but got {memory_bytes}"
        )
    return memory_bytes // row_bytes


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
