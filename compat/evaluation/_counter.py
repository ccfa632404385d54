"""Counts what scores above some relevant items and what ties with them, a piece at a time.

Relevant items near the top are counted by looking at the few scores that reach them; those far
down, the deep ones, by comparing them with all scores.
"""

from __future__ import annotations

import numpy as np

from registry.arrays import Float32Array, Int64Array

from ._depth import worst_first
from ._passes import count_true, find_true
from ._relevance import Relevance
from ._scoring import Piece
from ._ties import Ranks
from ._top import TopItems

_EACH = 32  # scores of a query that are worth being counted
PENDING_BYTES = 20 * _EACH  # that wait for it: row, position and score of each
_MANY = 1 / 32  # share of a piece's scores that is more than is looked at one by one


class Counter:
    """What scores above each relevant item and what ties with it.

    Several threads may count at a time, each other queries.
    """

    def __init__(self, own: Float32Array, relevance: Relevance, n_deep: Int64Array) -> None:
        """Nothing is counted yet.

        Args:
            own: scores of the relevant items. Shape: (n_pairs,)
            relevance: which they are.
            n_deep: how many of each query's worst are deep, descending. Shape: (n_queries,)
        """
        self._relevance, self._own_pairs, self._n_deep = relevance, own, n_deep
        # these four have shape (n_places, n_queries)
        self._own = worst_first(own, relevance.indptr)
        self._is_near = np.arange(len(self._own))[:, None] >= n_deep
        self._above = np.zeros(self._own.shape, dtype=np.int64)
        self._tied = np.zeros(self._own.shape, dtype=np.int64)
        # rows in their piece, positions and scores that were found, by the piece's rows
        self._pending: dict[tuple[int, int], list[tuple[Int64Array, Int64Array, Float32Array]]] = {}
        # a score above this reaches a relevant item that is near
        nearest = self._own.min(axis=0, where=self._is_near, initial=np.inf)
        self._below: Float32Array = np.nextafter(nearest, np.float32(-np.inf))

    def count(self, piece: Piece, top: TopItems | None) -> None:
        """Count one piece, and offer its scores for the first items."""
        rows = piece.rows
        n_deep = self._n_deep[rows]
        for place in range(int(n_deep[0])):
            deep = rows.start + int(np.count_nonzero(n_deep > place))
            self._compare(piece, self._own[place, rows.start : deep], place)
        below = self._below[rows] if top is None else np.minimum(self._below[rows], top.least[rows])
        found = find_true(np.greater(piece.whole, below[:, None], out=piece.flags), _MANY)
        if found is None:
            self._settle(rows, top)
            self._count_whole(piece, top)
            return
        row, item = found
        pending = self._pending.setdefault((rows.start, rows.stop), [])
        pending.append((row, item + piece.first, piece.whole[row, item]))
        if sum(len(row) for row, _, _ in pending) > _EACH * len(piece.whole):
            self._settle(rows, top)

    def finish(self, top: TopItems | None) -> None:
        """Count and offer what is left when all pieces have been counted."""
        for start, stop in list(self._pending):
            self._settle(slice(start, stop), top)

    def ranks(self) -> Ranks:
        """Return the ranks, best first within each query.

        Raises:
            ArithmeticError: if an item does not tie with itself.
        """
        indptr, sizes = self._relevance.indptr, self._relevance.n_relevant
        row = np.repeat(np.arange(len(sizes)), sizes)
        order = np.lexsort((-self._own_pairs, row))
        best_first = np.repeat(indptr[1:], sizes) - 1 - np.arange(len(row)), row
        gains, tied = self._relevance.gains, self._tied[best_first]
        if (tied < 1).any():  # what would make every rank wrong must not pass in silence
            raise ArithmeticError(
                "a relevant item scored otherwise among the gallery than by itself: did the number "
                "of BLAS threads change meanwhile?"
            )
        return Ranks.from_counts(
            indptr,
            self._above[best_first],
            tied,
            None if gains is None else gains[order],
        )

    def _settle(self, rows: slice, top: TopItems | None) -> None:
        """Count and offer the scores that were found in some pieces, which takes long for a few."""
        pending = self._pending.pop((rows.start, rows.stop), [])
        if not pending:
            return
        row, position, scores = map(np.concatenate, zip(*pending, strict=True))
        order = np.argsort(row.astype(np.int16), kind="stable")  # small numbers sort quickly
        row, position, scores = row[order], position[order], scores[order]
        if top is not None:
            top.offer(row + rows.start, position, scores)
        self._count_found(rows, row, scores)

    def _compare(self, piece: Piece, own: Float32Array, place: int) -> None:
        """Compare the relevant items at one place with all scores of the piece's first queries."""
        rows = slice(piece.rows.start, piece.rows.start + len(own))
        scores, flags = piece.whole[: len(own)], piece.flags[: len(own)]
        self._above[place, rows] += count_true(np.greater(scores, own[:, None], out=flags))
        np.equal(scores, own[:, None], out=flags)
        tying = np.flatnonzero(flags.any(axis=1))  # few, and that is quicker to see than to count
        self._tied[place, rows.start + tying] += count_true(flags[tying])

    def _count_whole(self, piece: Piece, top: TopItems | None) -> None:
        """Compare the relevant items that are near with all scores too: too many reach them."""
        near = np.where(self._is_near[:, piece.rows], self._own[:, piece.rows], np.float32(np.inf))
        for place in np.flatnonzero(np.isfinite(near).any(axis=1)):
            self._compare(piece, near[place], int(place))
        if top is not None:
            top.take_all(piece.rows.start, piece.scores, piece.first)

    def _count_found(self, rows: slice, row: Int64Array, scores: Float32Array) -> None:
        """Compare the relevant items that are near with scores that may reach them.

        Args:
            rows: the piece's queries.
            row: which of them each score is of. Shape: (n,)
            scores: Shape: (n,)
        """
        reaching = np.flatnonzero(scores > self._below[rows][row])
        if len(reaching) == 0:
            return
        row, scores = row[reaching], scores[reaching]
        places = slice(int(self._n_deep[rows].min()), len(self._own))
        is_near = self._is_near[places, rows]
        own = self._own[places, rows].take(row, axis=1)
        # a score is above all places before the first one that it is not above
        n_below = np.add.reduce(scores > own, axis=0, dtype=np.uint8)
        counts = np.zeros((len(own) + 1, is_near.shape[1]), dtype=np.int64)
        np.add.at(counts, (n_below, row), 1)
        self._above[places, rows] += counts[:0:-1].cumsum(axis=0)[::-1] * is_near
        place, which = np.nonzero(scores == own)
        if len(place):
            counts[:] = 0
            np.add.at(counts, (place, row[which]), 1)
            self._tied[places, rows] += counts[:-1] * is_near
