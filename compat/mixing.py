"""Mixed galleries: some items' vectors are the new version's, the others still the old one's.

Each part is compared by its own contract, and the scores are merged, as they are or calibrated,
which is what the search does with a gallery that is backfilled step by step.
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

from .calibration import QueryMaps
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


@dataclass(frozen=True, slots=True, eq=False)
class MixedQueries:
    """What searches the two parts of a mixed gallery, and on which scale the scores are merged.

    Attributes:
        on_old: vectors that are compared with old ones. Shape: (n_queries, dim).
        on_new: vectors that are compared with new ones; the same, unless each part is searched by
            its own version's queries. Shape: (n_queries, dim of those).
        old_maps: each query's map of scores on old vectors; None leaves all scores as they are.
        new_maps: likewise, on new vectors; None if the other is.
    """

    on_old: Float32Array
    on_new: Float32Array
    old_maps: QueryMaps | None = None
    new_maps: QueryMaps | None = None


def measure_mixed(
    queries: MixedQueries,
    asked: Labels,
    items: MixedItems,
    *,
    ks: Sequence[int],
    top_k: int = 0,
    rules: ScoreRules | None = None,
) -> RankingScores:
    """Score every query's ranking of a mixed gallery by exact search; see `measure_cell`.

    Both parts are searched in one pass: old vectors fill the first coordinates of a longer one,
    new ones the others, and the rest is 0, so that a product is that of the item's own part. A
    map's scale is multiplied into the query, its offset meets a coordinate that tells the part.
    """
    stacked = _stacked_queries(queries, items)
    blocks = MixedBlocks(items, has_maps=queries.old_maps is not None)
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


def _stacked_queries(queries: MixedQueries, items: MixedItems) -> Float32Array:
    """Under l2 a product is 2 <q, g> - ||q||^2 - ||g||^2, with ||q|| as the item's part has it."""
    sides = [
        (queries.on_old, items.old_contract, queries.old_maps),
        (queries.on_new, items.new_contract, queries.new_maps),
    ]
    is_l2 = items.metric is Metric.L2
    vectors, constants, lengths = [], [], []
    for given, contract, maps in sides:
        prepared = prepare_queries(given, contract, items.metric)
        scale = np.ones(len(given)) if maps is None else maps.scale
        constant = np.zeros(len(given)) if maps is None else maps.offset
        vectors.append(prepared * ((2 * scale if is_l2 else scale)[:, None]).astype(np.float32))
        constants.append(constant - scale * _squared(prepared) if is_l2 else constant)
        lengths.append(-scale)
    more = [*constants, *lengths] if is_l2 else constants if queries.old_maps is not None else []
    return np.hstack([*vectors, *(column[:, None].astype(np.float32) for column in more)])


def _squared(vectors: Float32Array) -> Float32Array:
    found: Float32Array = np.einsum("ij,ij->i", vectors, vectors)
    return found


@dataclass(frozen=True, slots=True)
class MixedBlocks(Sequence[Float32Array]):
    """Blocks of a mixed gallery, each stacked when it is asked for, never all at once."""

    items: MixedItems
    has_maps: bool = False

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
        is_l2 = items.metric is Metric.L2
        n_more = 4 if is_l2 else 2 if self.has_maps else 0
        stacked = np.zeros((len(block), n_old + n_new + n_more), np.float32)
        stacked[~is_new, :n_old] = old
        stacked[is_new, n_old : n_old + n_new] = new
        if n_more:
            stacked[~is_new, n_old + n_new] = stacked[is_new, n_old + n_new + 1] = 1
        if is_l2:
            stacked[~is_new, -2], stacked[is_new, -1] = _squared(old), _squared(new)
        return stacked
