"""Ranks of a few relevant items a query, counted while the gallery streams by.

First the relevant items are picked out of the gallery and scored. Then every chunk's scores are
compared with them while they are in the processor's cache, so what is held does not grow with the
gallery. Relevant items near the top are counted by looking at the few scores that reach them; those
far down by comparing them with all scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from registry.arrays import BoolArray, Float32Array, Int64Array

from ._relevance import Relevance
from ._scoring import CHUNK, PairPlaces, Piece, count_true, exactly, stream_scores
from ._ties import Ranks
from ._top import TopItems

FEW = 32  # relevant items of a query that are counted so

_DEEP = 1 / 64  # share of the gallery above an item from where on all scores are compared with it
_MOST = 0.4  # share of a piece's queries that is quicker compared whole than picked out
_BATCH = 256  # relevant items whose queries' scores are picked out at a time
_PARTS = 8  # of a chunk, whose maxima are looked at first
_MANY = 0.4  # share of the maxima that is more than is looked at one by one


def rank_few(  # noqa: PLR0913 -- three arrays, the gallery and how to go through it
    queries: Float32Array,
    gallery: Sequence[Float32Array],
    relevance: Relevance,
    excluded: Int64Array,
    *,
    is_l2: bool,
    n_rows: int,
    top_k: int = 0,
) -> tuple[Ranks, TopItems | None]:
    """Return the ranks of each query's relevant items, and its first items if `top_k` is not 0.

    The gallery is read twice: to pick the relevant items, and to count.

    Args:
        queries: Shape: (n_queries, dim)
        gallery: blocks in order. Shape of each: (any, dim)
        relevance: of the same queries, none empty, none holding its excluded item.
        excluded: gallery position that does not exist for the query, or -1. Shape: (n_queries,)
        is_l2: score by squared distance instead of inner product.
        n_rows: queries whose scores are held at a time.
        top_k: how many first items are wanted.
    """
    own = _score_relevant(queries, gallery, relevance, is_l2=is_l2, n_rows=n_rows)
    losing = np.flatnonzero(excluded >= 0)
    absent = PairPlaces(losing, excluded[losing], n_rows)
    counter = _Counter(own, relevance)
    top = TopItems.empty(len(queries), top_k) if top_k else None
    for piece in stream_scores(queries, gallery, relevance.n_gallery, is_l2=is_l2, n_rows=n_rows):
        _, rows, columns = absent.within(piece)
        piece.scores[rows, columns] = -np.inf
        counter.count(piece, top)
    return counter.ranks(), top


def _score_relevant(
    queries: Float32Array,
    gallery: Sequence[Float32Array],
    relevance: Relevance,
    *,
    is_l2: bool,
    n_rows: int,
) -> Float32Array:
    """Score the relevant items, in products of the very shape that the whole gallery's have."""
    positions, which = np.unique(relevance.indices, return_inverse=True)
    vectors = _picked(exactly(gallery, relevance.n_gallery), positions, queries.shape[1])
    own = np.empty(len(which), dtype=np.float32)
    for start in range(0, len(queries), n_rows):
        rows = slice(start, min(start + n_rows, len(queries)))
        pairs = slice(relevance.indptr[rows.start], relevance.indptr[rows.stop])
        asked, column = np.unique(which[pairs], return_inverse=True)
        row = np.repeat(np.arange(rows.stop - start), relevance.n_relevant[rows])
        found = own[pairs]
        places = PairPlaces(row, column, n_rows)
        for piece in stream_scores(
            queries[rows], [vectors[asked]], len(asked), is_l2=is_l2, n_rows=n_rows
        ):
            inside, at, columns = places.within(piece)
            found[inside] = piece.scores[at, columns]
    return own


def _picked(gallery: Iterable[Float32Array], positions: Int64Array, dim: int) -> Float32Array:
    """Return the vectors at some gallery positions, which ascend."""
    found = np.empty((len(positions), dim), dtype=np.float32)
    first = 0
    for block in gallery:
        low, high = np.searchsorted(positions, [first, first + len(block)])
        if block.ndim == 2 and block.shape[1] == dim:  # others are refused when they are scored
            found[low:high] = block[positions[low:high] - first]
        first += len(block)
    return found


class _Counter:
    """Counts, piece by piece, what scores above each relevant item and what ties with it."""

    def __init__(self, own: Float32Array, relevance: Relevance) -> None:
        self._relevance, self._own_pairs = relevance, own
        n_relevant = relevance.n_relevant
        self._row = np.repeat(np.arange(len(n_relevant)), n_relevant)
        self._place = np.arange(len(own)) - np.repeat(relevance.indptr[:-1], n_relevant)
        shape = (len(n_relevant), int(n_relevant.max()))
        # worst first; where a query has fewer, nothing is above and nothing ties
        self._own = np.full(shape, np.inf, dtype=np.float32)
        self._own[self._row, self._place] = own[np.lexsort((own, self._row))]
        self._near = self._own.copy()  # without those far down
        self._reach = np.full(shape[0], np.inf, dtype=np.float32)
        self._above, self._tied = np.zeros(shape, np.int64), np.zeros(shape, np.int64)

    def count(self, piece: Piece, top: TopItems | None) -> None:
        """Count one piece, and offer its scores for the first items."""
        rows = piece.rows
        if piece.first == 0:
            self._count_all(piece, np.isfinite(self._own[rows]))
            self._part(piece)
            if top is not None:
                _begin(top, piece)
            return
        self._count_all(piece, self._own[rows] != self._near[rows])
        reach, best = self._reach[rows], None if top is None else top.least[rows]
        found = _reaching(piece.items, reach if best is None else np.minimum(reach, best))
        if found is None:  # the first chunk was unlike this one
            self._count_all(piece, np.isfinite(self._near[rows]))
            if top is not None:
                top.take_all(rows.start, piece.scores, piece.first)
            return
        row, item, scores = found
        if top is not None:
            top.offer(row + rows.start, item + piece.first, scores)
        self._count_near(rows.start, row, scores)

    def ranks(self) -> Ranks:
        """Return the ranks, best first within each query."""
        order = np.lexsort((-self._own_pairs, self._row))
        best_first = self._row, self._relevance.n_relevant[self._row] - 1 - self._place
        gains = self._relevance.gains
        return Ranks.from_counts(
            self._relevance.indptr,
            self._above[best_first],
            self._tied[best_first],
            None if gains is None else gains[order],
        )

    def _part(self, piece: Piece) -> None:
        """Tell relevant items near the top from those far down by the first chunk."""
        reached = self._above[piece.rows] + self._tied[piece.rows]
        near = self._near[piece.rows]
        near[reached > _DEEP * piece.n_items] = np.inf
        self._reach[piece.rows] = near.min(axis=1)

    def _count_all(self, piece: Piece, wanted: BoolArray) -> None:
        """Compare some relevant items with all scores of their queries.

        Args:
            piece: the scores.
            wanted: which places. Shape: (n_rows, n_places)
        """
        n_wanted = np.count_nonzero(wanted, axis=0)
        whole = np.arange(len(wanted))
        # a place that most queries want is quicker compared whole than picked out
        for place in np.flatnonzero(n_wanted > _MOST * len(wanted)):
            own = np.where(wanted[:, place], self._own[piece.rows, place], np.inf)
            self._compare(piece, piece.items, own, (whole, np.full_like(whole, place)))
        few = wanted & (n_wanted <= _MOST * len(wanted))
        rows, places = np.nonzero(few)
        for start in range(0, len(rows), _BATCH):
            at = rows[start : start + _BATCH], places[start : start + _BATCH]
            picked = np.take(piece.items, at[0], axis=1)
            self._compare(piece, picked, self._own[piece.rows][at], at)

    def _compare(
        self,
        piece: Piece,
        items: Float32Array,
        own: Float32Array,
        at: tuple[Int64Array, Int64Array],
    ) -> None:
        self._above[piece.rows][at] += count_true(items > own)
        self._tied[piece.rows][at] += count_true(items == own)

    def _count_near(self, first_row: int, rows: Int64Array, scores: Float32Array) -> None:
        """Compare the relevant items near the top with the scores that reach them.

        Args:
            first_row: the piece's first query.
            rows: which query of the piece, ascending. Shape: (n,)
            scores: Shape: (n,)
        """
        if len(rows) == 0:
            return
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        own, at = self._near[first_row + rows], first_row + rows[starts]
        self._above[at] += np.add.reduceat(scores[:, None] > own, starts, axis=0, dtype=np.int64)
        self._tied[at] += np.add.reduceat(scores[:, None] == own, starts, axis=0, dtype=np.int64)


def _begin(top: TopItems, piece: Piece) -> None:
    """Offer the first chunk: the k-th best maximum is at most the k-th best score."""
    k, best = top.scores.shape[1], _maxima(piece.items)
    found = None
    if k <= len(best) and piece.n_items == CHUNK:
        found = _reaching(piece.items, np.partition(best, len(best) - k, axis=0)[len(best) - k])
    if found is None:
        top.take_all(piece.rows.start, piece.scores)
    else:
        top.offer(found[0] + piece.rows.start, found[1], found[2])


def _maxima(items: Float32Array) -> Float32Array:
    """Return the best of every few items. Shape: (CHUNK / _PARTS, n_rows)."""
    parts = items.reshape(_PARTS, -1, items.shape[1])
    best: Float32Array = np.maximum(parts[0], parts[1])
    for part in parts[2:]:
        np.maximum(best, part, out=best)
    return best


def _reaching(
    items: Float32Array, least: Float32Array
) -> tuple[Int64Array, Int64Array, Float32Array] | None:
    """Return row, item and score of what scores at least so much, or None if that is too many.

    Maxima over a few items each are taken first: most need no closer look.

    Args:
        items: Shape: (CHUNK, n_rows)
        least: Shape: (n_rows,)
    """
    parts, best = items.reshape(_PARTS, -1, items.shape[1]), _maxima(items)
    hit = np.flatnonzero(best >= least)
    if len(hit) > _MANY * best.size:
        return None
    slot, row = np.divmod(hit, items.shape[1])
    scores = parts[:, slot, row]
    part, which = np.nonzero(scores >= least[row])
    order = np.argsort(row[which], kind="stable")
    part, which = part[order], which[order]
    return row[which], part * len(best) + slot[which], scores[part, which]
