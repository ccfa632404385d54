"""Scores of genuine and impostor pairs, streamed: what verification counts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array

from ._arguments import check_queries, checked_excluded
from ._passes import count_true
from ._places import PairPlaces
from ._relevance import Relevance
from ._scoring import Piece, stream_scores

_NO_SCORE = np.float32(-np.inf)  # of a pair that is not an impostor's; scores are finite


@dataclass(frozen=True, slots=True, eq=False)
class MatchCounts:
    """What matches at some thresholds, query by query, so that identities can be resampled.

    Attributes:
        thresholds: Shape: (n_thresholds,)
        n_genuine: genuine pairs of each query. Shape: (n_queries,)
        n_impostor: impostor pairs of each query. Shape: (n_queries,)
        genuine: genuine pairs that match. Shape: (n_queries, n_thresholds)
        impostor: impostor pairs that match. Shape: (n_queries, n_thresholds)
    """

    thresholds: Float32Array
    n_genuine: Int64Array
    n_impostor: Int64Array
    genuine: Int64Array
    impostor: Int64Array

    @property
    def false_match_rate(self) -> Float64Array:
        """FMR of all impostor pairs together. Shape: (n_thresholds,)."""
        rates: Float64Array = self.impostor.sum(axis=0) / self.n_impostor.sum()
        return rates

    @property
    def false_non_match_rate(self) -> Float64Array:
        """FNMR of all genuine pairs together; TAR is 1 minus it. Shape: (n_thresholds,)."""
        rates: Float64Array = 1.0 - self.genuine.sum(axis=0) / self.n_genuine.sum()
        return rates


class PairScores:
    """Streams the scores of impostors as often as asked; keeps those of genuine pairs.

    Attributes:
        n_impostor: impostor pairs of each query. Shape: (n_queries,)
        asking: the query of each genuine pair. Shape: (n_pairs,)
        genuine: scores of the genuine pairs, in the order of the relevance, once impostors were
            streamed. Shape: (n_pairs,)
    """

    def __init__(
        self,
        queries: Float32Array,
        gallery: Float32Array | Sequence[Float32Array],
        relevance: Relevance,
        excluded: Int64Array | None,
        *,
        is_l2: bool,
    ) -> None:
        """Check the arguments; nothing is scored yet."""
        check_queries(queries, relevance)
        lost = checked_excluded(excluded, relevance)
        self._relevance = relevance.without(lost)
        self._queries, self._is_l2 = queries, is_l2
        self._blocks = [gallery] if isinstance(gallery, np.ndarray) else gallery
        self.asking = np.repeat(np.arange(relevance.n_queries), self._relevance.n_relevant)
        self._genuine_places = PairPlaces(self.asking, self._relevance.indices)
        losing = np.flatnonzero(lost >= 0)
        self._lost_places = PairPlaces(losing, lost[losing])
        exists = relevance.n_gallery - (lost >= 0).astype(np.int64)
        self.n_impostor: Int64Array = exists - self._relevance.n_relevant
        self.genuine = np.empty(len(self._relevance.indices), dtype=np.float32)

    def impostors(self) -> Iterator[Piece]:
        """Yield all scores, minus infinity in place of those that are not an impostor's."""
        n_gallery = self._relevance.n_gallery
        for piece in stream_scores(
            self._queries, self._blocks, n_gallery, is_l2=self._is_l2, is_comparable=True
        ):
            which, rows, columns = self._genuine_places.within(piece)
            self.genuine[which] = piece.scores[rows, columns]
            piece.scores[rows, columns] = _NO_SCORE
            _, rows, columns = self._lost_places.within(piece)
            piece.scores[rows, columns] = _NO_SCORE
            yield piece

    def count(self, thresholds: Float32Array) -> MatchCounts:
        """Count what matches at some thresholds, query by query."""
        shape = (self._relevance.n_queries, len(thresholds))
        impostor, genuine = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for piece in self.impostors():
            for column, threshold in enumerate(thresholds):
                matched = np.greater_equal(piece.whole, threshold, out=piece.flags)
                impostor[piece.rows, column] += count_true(matched)
        for column, threshold in enumerate(thresholds):
            asking = self.asking[self.genuine >= threshold]
            genuine[:, column] = np.bincount(asking, minlength=shape[0])
        return MatchCounts(
            thresholds, self._relevance.n_relevant, self.n_impostor, genuine, impostor
        )


def checked_rates(rates: Sequence[float], n: int, min_errors: int, *, what: str) -> Float64Array:
    """Return declared error rates, and refuse those that so many trials cannot support.

    Raises:
        ValueError: if a rate is not in (0, 1), or lets expect fewer than `min_errors` errors;
            the smallest possible one is named.
    """
    found = np.asarray(rates, dtype=np.float64)
    if found.ndim != 1 or not np.all((found > 0) & (found < 1)):
        raise ValueError(f"error rates must be in (0, 1) but got {list(rates)}")
    if n == 0:
        raise ValueError(f"an error rate needs {what} but there are none")
    too_small = found[found * n * (1 + 1e-12) < min_errors]
    if len(too_small):
        needed = math.ceil(min_errors / too_small.min())
        smallest = min_errors / n
        raise ValueError(
            f"an error rate of {too_small.min():g} lets expect fewer than {min_errors} errors in "
            f"{n} {what}; they support {f'{smallest:.3g} or more' if smallest < 1 else 'none'}, "
            f"and {needed} {what} would support this one"
        )
    return found
