"""Where pairs of a query and a gallery position lie among streamed scores."""

from __future__ import annotations

import numpy as np

from registry.arrays import Int64Array

from ._scoring import ROWS, Piece


class PairPlaces:
    """Finds in each piece the (query, gallery position) pairs that lie in it."""

    def __init__(self, queries: Int64Array, positions: Int64Array, n_rows: int = ROWS) -> None:
        """Sort the pairs by piece.

        Args:
            queries: Shape: (n_pairs,)
            positions: Shape: (n_pairs,)
            n_rows: queries of a piece.
        """
        self._order = np.lexsort((positions, queries // n_rows))
        self._number = (queries // n_rows)[self._order]
        self._row = (queries % n_rows)[self._order]
        self._position = positions[self._order]

    def within(self, piece: Piece) -> tuple[Int64Array, Int64Array, Int64Array]:
        """Return which pairs lie in a piece, and their rows and columns there."""
        low, high = np.searchsorted(self._number, [piece.number, piece.number + 1])
        inside = slice(
            low + np.searchsorted(self._position[low:high], piece.first),
            low + np.searchsorted(self._position[low:high], piece.stop),
        )
        return self._order[inside], self._row[inside], self._position[inside] - piece.first
