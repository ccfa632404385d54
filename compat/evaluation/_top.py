"""The first items of each query's ranking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float32Array, Int64Array

_SAMPLE = 4096  # scores that tell how good the best of a long row are
_LITTLE = 4  # a quarter of a row


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
        rows, positions, scores = rows[better], positions[better], scores[better]
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        n_offered = np.diff(starts, append=len(rows))
        which = np.repeat(np.arange(len(starts)), n_offered)
        place = np.arange(len(rows)) - starts[which]
        k = self.scores.shape[1]
        for first in range(0, int(n_offered.max()), k):  # so many of a query at a time
            now = np.flatnonzero((place >= first) & (place < first + k))
            self._merge(rows[starts], which[now], place[now] - first, positions[now], scores[now])

    def _merge(
        self,
        held: Int64Array,
        which: Int64Array,
        place: Int64Array,
        positions: Int64Array,
        scores: Float32Array,
    ) -> None:
        """Merge up to k items each into the first items of some queries."""
        k = self.scores.shape[1]
        width = k + int(place.max()) + 1
        score = np.full((len(held), width), -np.inf, dtype=np.float32)
        position = np.full((len(held), width), -1, dtype=np.int64)
        score[:, :k], position[:, :k] = self.scores[held], self.positions[held]
        score[which, k + place], position[which, k + place] = scores, positions
        # positions ascend, so that of equal scores the first one stays the first
        kept = np.argsort(-score, axis=1, kind="stable")[:, :k]
        self.scores[held] = np.take_along_axis(score, kept, axis=1)
        self.positions[held] = np.take_along_axis(position, kept, axis=1)


def _first(row: Float32Array, k: int) -> Int64Array:
    """Return where the k best of a row are; of equal ones, the first."""
    if len(row) <= k:
        return np.arange(len(row))
    likely = _likely(row, k)
    if likely is not None:
        return likely[_first(row[likely], k)]
    least = np.partition(row, len(row) - k)[len(row) - k]
    above = np.flatnonzero(row > least)
    tied = np.flatnonzero(row == least)[: k - len(above)]
    return np.concatenate([above, tied])


def _likely(row: Float32Array, k: int) -> Int64Array | None:
    """Return what may be among the k best as a sample of the row tells, if that is little."""
    sample = row[:: max(1, len(row) // _SAMPLE)]
    if len(sample) < k or len(row) < _LITTLE * _SAMPLE:
        return None
    found = np.flatnonzero(row >= np.partition(sample, len(sample) - k)[len(sample) - k])
    return found if _LITTLE * len(found) < len(row) else None
