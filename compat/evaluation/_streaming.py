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
from ._scoring import PairPlaces, Piece, exactly, stream_scores
from ._ties import Ranks
from ._top import TopItems

FEW = 32  # relevant items of a query that are counted so

_DEEP = 1 / 64  # share of the gallery above an item from where on all scores are compared with it
_MANY = 16  # one in so many scores that reach a near item is more than is looked at one by one
_BATCH = 64  # such items at a time: their rows of scores stay in the cache


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
        self._relevance = relevance
        n_relevant = relevance.n_relevant
        self._row = np.repeat(np.arange(len(n_relevant)), n_relevant)
        self._place = np.arange(len(own)) - np.repeat(relevance.indptr[:-1], n_relevant)
        shape = (len(n_relevant), int(n_relevant.max()))
        # where a query has fewer relevant items than others nothing is above, nothing ties
        self._own = np.full(shape, np.inf, dtype=np.float32)
        self._own[self._row, self._place] = own
        self._near = self._own.copy()  # without those far down
        self._reach = np.full(shape[0], np.inf, dtype=np.float32)
        self._above, self._tied = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self._deep: dict[int, tuple[Int64Array, Int64Array]] = {}

    def count(self, piece: Piece, top: TopItems | None) -> None:
        """Count one piece, and offer its scores for the first items."""
        if piece.first == 0:
            rows = np.arange(piece.rows.start, piece.rows.stop)
            inside = np.isfinite(self._own[rows])
            self._count_all(piece, *np.nonzero(inside))
            self._part(piece, inside)
            if top is not None:
                top.begin(piece)
            return
        self._count_all(piece, *self._deep[piece.number])
        least, best = self._reach[piece.rows], None if top is None else top.least[piece.rows]
        flags = piece.scores >= (least if best is None else np.minimum(least, best))[:, None]
        if np.count_nonzero(flags) > flags.size // _MANY:  # the first chunk was unlike this one
            self._count_all(piece, *np.nonzero(np.isfinite(self._near[piece.rows])))
            flags = np.zeros_like(flags) if best is None else piece.scores > best[:, None]
            least = np.full_like(least, np.inf)
        rows, columns = np.divmod(np.flatnonzero(flags), piece.scores.shape[1])
        scores = piece.scores[rows, columns]
        if top is not None:
            top.offer(rows + piece.rows.start, columns + piece.first, scores)
        is_near = scores >= least[rows]
        self._count_reaching(piece, rows[is_near], scores[is_near])

    def ranks(self) -> Ranks:
        """Return the ranks, best first within each query."""
        pairs = self._row, self._place
        order = np.lexsort((-self._own[pairs], self._row))
        gains = self._relevance.gains
        return Ranks.from_counts(
            self._relevance.indptr,
            self._above[pairs][order],
            self._tied[pairs][order],
            None if gains is None else gains[order],
        )

    def _part(self, piece: Piece, inside: BoolArray) -> None:
        """Tell relevant items near the top from those far down by the first chunk."""
        reached = self._above[piece.rows] + self._tied[piece.rows]
        is_deep = inside & (reached > _DEEP * piece.scores.shape[1])
        near = self._near[piece.rows]
        near[is_deep] = np.inf
        self._reach[piece.rows] = near.min(axis=1)
        rows, places = np.nonzero(is_deep)
        self._deep[piece.number] = rows, places

    def _count_all(self, piece: Piece, rows: Int64Array, places: Int64Array) -> None:
        """Compare some relevant items with all scores of their queries."""
        for start in range(0, len(rows), _BATCH):
            row, place = rows[start : start + _BATCH], places[start : start + _BATCH]
            scores, at = piece.scores[row], (row + piece.rows.start, place)
            own = self._own[at][:, None]
            self._above[at] += count_true(scores > own)
            self._tied[at] += count_true(scores == own)

    def _count_reaching(self, piece: Piece, rows: Int64Array, scores: Float32Array) -> None:
        """Compare the relevant items near the top with the scores that reach them."""
        if len(rows) == 0:
            return
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        own = self._near[piece.rows][rows]
        at = rows[starts] + piece.rows.start
        self._above[at] += np.add.reduceat(scores[:, None] > own, starts, axis=0, dtype=np.int64)
        self._tied[at] += np.add.reduceat(scores[:, None] == own, starts, axis=0, dtype=np.int64)


def count_true(flags: BoolArray) -> Int64Array:
    """Count the true ones in each row; packed to bits, which is faster than to sum them."""
    counts: Int64Array = np.bitwise_count(np.packbits(flags, axis=1)).sum(axis=1, dtype=np.int64)
    return counts
