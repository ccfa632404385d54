"""The first items of each query's ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float32Array, Int64Array


@dataclass(frozen=True, slots=True, eq=False)
class TopItems:
    """The first k items of each query; equal scores are ordered by gallery position.

    Attributes:
        positions: gallery positions, -1 where there are no more items. Shape: (n_queries, k)
        scores: inner products, or 2 <q, g> - ||g||^2; larger is closer, -inf where there is no
            item. Shape: (n_queries, k)
    """

    positions: Int64Array
    scores: Float32Array

    @classmethod
    def empty(cls, n_queries: int, k: int) -> TopItems:
        """Return room for k items of each query."""
        return cls(
            np.full((n_queries, k), -1, dtype=np.int64),
            np.full((n_queries, k), -np.inf, dtype=np.float32),
        )

    def first(self, k: int) -> TopItems:
        """Return the first k of them, or all if there are not so many."""
        return TopItems(self.positions[:, :k], self.scores[:, :k])

    @property
    def least(self) -> Float32Array:
        """What a score must exceed to come in, because later positions lose ties."""
        least: Float32Array = self.scores[:, -1]
        return least

    def take_all(self, first_row: int, scores: Float32Array, first_position: int = 0) -> None:
        """Take the best of many scores.

        Args:
            first_row: the first of some queries.
            scores: Shape: (n_rows, n_items)
            first_position: gallery position of the first item; the others follow.
        """
        found = [_first(row, self.scores.shape[1]) for row in scores]
        rows = np.repeat(np.arange(len(found)), [len(columns) for columns in found])
        columns = np.concatenate(found)
        self.offer(rows + first_row, columns + first_position, scores[rows, columns])

    def offer(self, rows: Int64Array, positions: Int64Array, scores: Float32Array) -> None:
        """Take what scores above the last of the first k.

        Args:
            rows: queries, ascending. Shape: (n,)
            positions: behind all that were offered for the query before. Shape: (n,)
            scores: Shape: (n,)
        """
        better = np.flatnonzero(scores > self.least[rows])
        if len(better) == 0:
            return
        k = self.scores.shape[1]
        held = rows[better][np.flatnonzero(np.diff(rows[better], prepend=-1))]
        row = np.concatenate([np.repeat(held, k), rows[better]])
        score = np.concatenate([self.scores[held].ravel(), scores[better]])
        position = np.concatenate([self.positions[held].ravel(), positions[better]])
        order = np.lexsort((position, -score, row))
        starts = np.searchsorted(row[order], held)
        kept = order[starts[:, None] + np.arange(k)]
        self.scores[held], self.positions[held] = score[kept], position[kept]


def _first(row: Float32Array, k: int) -> Int64Array:
    """Return where the k best of a row are; of equal ones, the first."""
    if len(row) <= k:
        return np.arange(len(row))
    least = np.partition(row, len(row) - k)[len(row) - k]
    above = np.flatnonzero(row > least)
    tied = np.flatnonzero(row == least)[: k - len(above)]
    return np.concatenate([above, tied])
