"""Mixed galleries: some items' vectors are the new version's, the others still the old one's.

Each part is compared by its own contract and the scores are merged as they are, which is what the
search does with a gallery that is backfilled step by step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np

from registry.arrays import BoolArray, Float32Array
from registry.domain.contracts import Contract
from registry.domain.galleries import Metric
from registry.galleries.search import prepare_gallery, prepare_queries

from .cells import SearchedItems, itself_among, relevance_of
from .cores import counting_threads
from .evaluation.ranking import RankingScores, score_rankings
from .probes import Labels
from .score_metrics import ScoreRules, with_points


@dataclass(frozen=True, slots=True, eq=False)
class MixedItems:
    """The items of a gallery that is partly backfilled.

    Attributes:
        old: ids, labels and the old version's vectors of all items.
        new: the new version's vectors of the same items. Shape: (n_items, new_dim).
        is_new: whether an item is held as a new vector. Shape: (n_items,).
        old_contract: how queries are compared with old vectors.
        new_contract: how they are compared with new ones.
        metric: the gallery's metric.
    """

    old: SearchedItems
    new: Float32Array
    is_new: BoolArray
    old_contract: Contract
    new_contract: Contract
    metric: Metric


def nest_shares(n_items: int, shares: Sequence[float], rng: np.random.Generator) -> list[BoolArray]:
    """Return for each share which items are new. Shape of each: (n_items,).

    The order is random and one for all, so that a smaller share is part of every larger one.
    """
    place = rng.permutation(n_items)
    return [place < round(share * n_items) for share in shares]


def measure_mixed(
    queries: Float32Array,
    asked: Labels,
    items: MixedItems,
    *,
    ks: Sequence[int],
    top_k: int = 0,
    rules: ScoreRules | None = None,
) -> RankingScores:
    """Score every query's ranking of a mixed gallery by exact search; see `measure_cell`.

    Both parts are searched in one pass: old vectors fill the first coordinates of a longer one,
    new ones the others, and the rest is 0, so that a product is that of the item's own part.
    """
    stacked, blocks = _stacked_queries(queries, items), MixedBlocks(items)
    relevance, excluded = relevance_of(asked, items.old), itself_among(asked, items.old)
    scores = score_rankings(
        stacked,
        blocks,
        relevance,
        ks=ks,
        excluded=excluded,
        top_k=top_k,
        n_threads=counting_threads(),
    )
    return with_points(
        scores, rules, stacked, blocks, relevance, excluded=excluded, metric="inner_product"
    )


def _stacked_queries(queries: Float32Array, items: MixedItems) -> Float32Array:
    """Under l2 a product is 2 <q, g> - ||q||^2 - ||g||^2, with ||q|| as the item's part has it."""
    sides = [
        prepare_queries(queries, contract, items.metric)
        for contract in (items.old_contract, items.new_contract)
    ]
    if items.metric is not Metric.L2:
        return np.hstack(sides)
    lengths = [-_squared(side)[:, None] for side in sides]
    ones = -np.ones((len(queries), 1), np.float32)
    return np.hstack([*(2 * side for side in sides), *lengths, ones])


def _squared(vectors: Float32Array) -> Float32Array:
    found: Float32Array = np.einsum("ij,ij->i", vectors, vectors)
    return found


@dataclass(frozen=True, slots=True)
class MixedBlocks(Sequence[Float32Array]):
    """Blocks of a mixed gallery, each stacked when it is asked for, never all at once."""

    items: MixedItems

    def __len__(self) -> int:
        return len(self.items.old.blocks)

    @overload
    def __getitem__(self, index: int) -> Float32Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Float32Array]: ...
    def __getitem__(self, index: int | slice) -> Float32Array | Sequence[Float32Array]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        first = sum(len(block) for block in self.items.old.blocks[:place])
        return self._stacked(self.items.old.blocks[place], first)

    def __iter__(self) -> Iterator[Float32Array]:
        return (self[i] for i in range(len(self)))

    def _stacked(self, block: Float32Array, first: int) -> Float32Array:
        items = self.items
        is_new = items.is_new[first : first + len(block)]
        old = prepare_gallery(block[~is_new], items.old_contract, items.metric)
        new = items.new[first : first + len(block)][is_new]
        new = prepare_gallery(new, items.new_contract, items.metric)
        n_old, n_new = old.shape[1], new.shape[1]
        n_more = 3 if items.metric is Metric.L2 else 0
        stacked = np.zeros((len(block), n_old + n_new + n_more), np.float32)
        stacked[~is_new, :n_old] = old
        stacked[is_new, n_old : n_old + n_new] = new
        if n_more:
            stacked[:, -3], stacked[:, -2] = ~is_new, is_new
            stacked[~is_new, -1], stacked[is_new, -1] = _squared(old), _squared(new)
        return stacked
