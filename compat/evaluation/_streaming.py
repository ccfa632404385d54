"""Ranks of a few relevant items a query, counted while the gallery streams by.

First the relevant items are picked out of the gallery and scored. Then every chunk's scores are
compared with them while they are in the processor's cache, so what is held does not grow with the
gallery.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from registry.arrays import Float32Array, Float64Array, Int64Array

from ._counter import Counter
from ._depth import COST_OF_HOLDING, plan_depth, sampled_positions, worst_first
from ._parts import run_parts
from ._places import PairPlaces
from ._relevance import Relevance
from ._scoring import Chunk, Room, Scorer, check_block, exactly, stream_scores
from ._ties import Ranks
from ._top import TopItems

FEW = 64  # relevant items of a query that may be counted so

_PAIRS = 4096  # of a query and a relevant item that are scored roughly at a time


@dataclass(frozen=True, slots=True, eq=False)
class Few:
    """Queries with few relevant items, and how they are ranked.

    Attributes:
        queries: Shape: (n_queries, dim)
        gallery: blocks in order. Shape of each: (any, dim)
        relevance: of the same queries, none empty, none holding its excluded item.
        excluded: gallery position that does not exist for the query, or -1. Shape: (n_queries,)
        is_l2: score by squared distance instead of inner product.
        n_rows: queries of a piece, whose scores a thread holds at a time.
        top_k: how many first items are wanted.
        n_threads: threads that score and count.
    """

    queries: Float32Array
    gallery: Sequence[Float32Array]
    relevance: Relevance
    excluded: Int64Array
    is_l2: bool
    n_rows: int
    top_k: int
    n_threads: int

    def take(self, order: Int64Array) -> Few:
        """Return the queries in another order."""
        return replace(
            self,
            queries=self.queries[order],
            relevance=self.relevance.take(order),
            excluded=self.excluded[order],
        )


def rank_few(few: Few) -> tuple[Int64Array, Ranks, TopItems | None] | None:
    """Rank for those queries for which it is quicker so than with all scores held.

    The gallery is read twice: to pick the relevant items, and to count. Queries with as many deep
    relevant items are counted beside each other.

    Returns:
        Which queries, in the order of the following; their ranks; any first items. None if it is
        quicker for none.
    """
    # BLAS's own threads would only wait for each other beside ours. It has as many all along, for
    # by their number it rounds: a relevant item must score the same when it is picked and when met
    with threadpool_limits(1 if few.n_threads > 1 else None, user_api="blas"):
        return _rank(few)


def _rank(few: Few) -> tuple[Int64Array, Ranks, TopItems | None] | None:
    n_gallery = few.relevance.n_gallery
    sample = sampled_positions(n_gallery)
    positions = np.union1d(few.relevance.indices, sample)
    vectors = _picked(exactly(few.gallery, n_gallery), positions, few.queries.shape[1])
    n_deep, cost = _plan(few, positions, vectors, sample)
    order = np.argsort(-n_deep, kind="stable")
    order = order[cost[order] <= COST_OF_HOLDING]
    if len(order) == 0:
        return None
    few = few.take(order)
    own = _score_relevant(few, positions, vectors)
    counter = Counter(own, few.relevance, n_deep[order])
    top = TopItems.empty(len(order), few.top_k) if few.top_k else None
    _count(few, counter, top)
    return order, counter.ranks(), top


def _count(few: Few, counter: Counter, top: TopItems | None) -> None:
    """Count all pieces: of each chunk, every thread scores and counts some."""
    losing = np.flatnonzero(few.excluded >= 0)
    absent = PairPlaces(losing, few.excluded[losing], few.n_rows)
    scorer = Scorer(few.queries, is_l2=few.is_l2, n_rows=few.n_rows)
    shares = range(min(few.n_threads, scorer.n_pieces))
    rooms = [Room.empty(min(few.n_rows, len(few.queries))) for _ in shares]

    def count_share(chunk: Chunk, share: int) -> None:
        for number in range(share, scorer.n_pieces, len(shares)):
            piece = scorer.piece(chunk, number, rooms[share])
            if len(losing):
                _, rows, columns = absent.within(piece)
                piece.scores[rows, columns] = -np.inf
            counter.count(piece, top)

    with ThreadPoolExecutor(len(shares)) as pool:
        for chunk in scorer.chunks(few.gallery, few.relevance.n_gallery):
            run_parts(pool, partial(count_share, chunk), shares)
    counter.finish(top)


def _plan(
    few: Few, positions: Int64Array, vectors: Float32Array, sample: Int64Array
) -> tuple[Int64Array, Float64Array]:
    """Return how many relevant items of each query are deep and the cost, as a sample tells."""
    sampled = vectors[np.searchsorted(positions, sample)]
    indptr = few.relevance.indptr
    asking = np.repeat(np.arange(len(few.queries)), few.relevance.n_relevant)
    place = np.searchsorted(positions, few.relevance.indices)
    n_deep, cost = np.empty(len(few.queries), np.int64), np.empty(len(few.queries))
    with np.errstate(all="ignore"):  # what is not finite is refused when it is scored
        own = _rough_scores(few, asking, vectors, place)
        for start in range(0, len(cost), few.n_rows):
            rows = slice(start, start + few.n_rows)
            scores = few.queries[rows] @ sampled.T
            if few.is_l2:
                scores -= _half_squares(sampled)
            ends = indptr[start : start + few.n_rows + 1]
            worst = worst_first(own[ends[0] : ends[-1]], ends - ends[0])
            n_deep[rows], cost[rows] = plan_depth(worst, scores)
    return n_deep, cost


def _rough_scores(
    few: Few, asking: Int64Array, vectors: Float32Array, place: Int64Array
) -> Float32Array:
    """Return the scores of pairs of queries and vectors, rounded in some way or other."""
    scores = np.empty(len(asking), dtype=np.float32)
    for start in range(0, len(asking), _PAIRS):
        pairs = slice(start, start + _PAIRS)
        found = vectors[place[pairs]]
        scores[pairs] = np.einsum("ij,ij->i", few.queries[asking[pairs]], found)
        if few.is_l2:
            scores[pairs] -= _half_squares(found)
    return scores


def _half_squares(vectors: Float32Array) -> Float32Array:
    halves: Float32Array = np.einsum("ij,ij->i", vectors, vectors) / 2
    return halves


def _score_relevant(few: Few, positions: Int64Array, vectors: Float32Array) -> Float32Array:
    """Score the relevant items, in products of the very shape that the whole gallery's have."""
    place = np.searchsorted(positions, few.relevance.indices)
    own = np.empty(len(place), dtype=np.float32)
    for start in range(0, len(few.queries), few.n_rows):
        rows = slice(start, min(start + few.n_rows, len(few.queries)))
        pairs = slice(few.relevance.indptr[rows.start], few.relevance.indptr[rows.stop])
        asked, column = np.unique(place[pairs], return_inverse=True)
        row = np.repeat(np.arange(rows.stop - start), few.relevance.n_relevant[rows])
        found = own[pairs]
        places = PairPlaces(row, column, few.n_rows)
        for piece in stream_scores(
            few.queries[rows],
            [vectors[asked]],
            len(asked),
            is_l2=few.is_l2,
            n_rows=few.n_rows,
        ):
            inside, at, columns = places.within(piece)
            found[inside] = piece.scores[at, columns]
    return own


def _picked(gallery: Iterable[Float32Array], positions: Int64Array, dim: int) -> Float32Array:
    """Return the vectors at some gallery positions, which ascend."""
    found = np.empty((len(positions), dim), dtype=np.float32)
    first = 0
    for block in gallery:
        check_block(block, dim)
        low, high = np.searchsorted(positions, [first, first + len(block)])
        found[low:high] = block[positions[low:high] - first]
        first += len(block)
    return found
