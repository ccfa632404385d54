"""Cells of the compatibility matrix: one version's queries on another version's vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

import numpy as np

from registry.arrays import Float32Array, Int64Array, LabelArray
from registry.domain.contracts import Contract
from registry.domain.galleries import Metric
from registry.galleries.search import prepare_gallery, prepare_queries

from .cores import counting_threads
from .evaluation.qrels import relevance_from_qrels
from .evaluation.ranking import RankingScores, Relevance, TopItems, score_rankings
from .probes import Labels, as_one_kind
from .score_metrics import ScoreRules, with_points


@dataclass(frozen=True, slots=True)
class PreparedBlocks(Sequence[Float32Array]):
    """Gallery vectors cut and normalised by a contract, one block at a time, never all at once."""

    blocks: Sequence[Float32Array]
    contract: Contract
    metric: Metric

    def __len__(self) -> int:
        return len(self.blocks)

    @overload
    def __getitem__(self, index: int) -> Float32Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Float32Array]: ...
    def __getitem__(self, index: int | slice) -> Float32Array | Sequence[Float32Array]:
        if isinstance(index, slice):
            return PreparedBlocks(self.blocks[index], self.contract, self.metric)
        return prepare_gallery(self.blocks[index], self.contract, self.metric)

    def __iter__(self) -> Iterator[Float32Array]:
        return (self[i] for i in range(len(self)))


@dataclass(frozen=True, slots=True)
class SearchedItems:
    """The items that a probe's queries search: vectors of one version, with ids and labels.

    Attributes:
        ids: item ids. Shape: (n,).
        labels: class or identity of each. Shape: (n,).
        blocks: their vectors, in order. Each of shape (n_block, dim).
    """

    ids: LabelArray
    labels: LabelArray
    blocks: Sequence[Float32Array]


def measure_cell(  # noqa: PLR0913 -- whose queries, on what, and five named settings
    queries: Float32Array,
    asked: Labels,
    items: SearchedItems,
    *,
    contract: Contract,
    metric: Metric,
    ks: Sequence[int],
    top_k: int = 0,
    rules: ScoreRules | None = None,
) -> RankingScores:
    """Score every query's ranking of the items by exact search, as the contract will serve it.

    A query that is itself one of the items (the same id) does not find itself; judged queries
    have names of their own, so none is. With `top_k` the first items come too, with the scores
    that a search gives: similarities, or under l2 the squared distance, negative. With `rules` what
    they ask of those scores is measured too.
    """
    kind: Literal["inner_product", "l2"] = "l2" if metric is Metric.L2 else "inner_product"
    prepared = prepare_queries(queries, contract, metric)
    blocks = PreparedBlocks(items.blocks, contract, metric)
    relevance, excluded = relevance_of(asked, items), itself_among(asked, items)
    scores = score_rankings(
        prepared,
        blocks,
        relevance,
        ks=ks,
        excluded=excluded,
        metric=kind,
        top_k=top_k,
        n_threads=counting_threads(),
    )
    scores = with_points(scores, rules, prepared, blocks, relevance, excluded=excluded, metric=kind)
    if scores.top is None or metric is not Metric.L2:
        return scores
    return replace(scores, top=_as_distances(scores.top, prepared))


def _as_distances(top: TopItems, queries: Float32Array) -> TopItems:
    """Take each query's own squared length off, which no ranking depends on."""
    lengths = np.einsum("ij,ij->i", queries, queries, dtype=np.float64)
    return TopItems(top.positions, (top.scores - lengths[:, None]).astype(np.float32))


def relevance_of(asked: Labels, items: SearchedItems) -> Relevance:
    """Return which items are relevant to which query: those judged so, or with its label."""
    if asked.qrels is not None:
        return relevance_from_qrels(asked.qrels, asked.ids, items.ids, is_part=True)
    return Relevance.from_labels(*as_one_kind(asked.labels, items.labels))


def itself_among(asked: Labels, items: SearchedItems) -> Int64Array:
    """Return where each query stands among the items itself, or -1."""
    if asked.qrels is not None:
        return np.full(len(asked.ids), -1, dtype=np.int64)
    return own_positions(asked.ids, items.ids)


def own_positions(query_ids: LabelArray, item_ids: LabelArray) -> Int64Array:
    """Return where each id stands among others, or -1."""
    asked, held = as_one_kind(query_ids, item_ids)
    position = {item: place for place, item in enumerate(held.tolist())}
    found = [position.get(query, -1) for query in asked.tolist()]
    return np.array(found, dtype=np.int64)
