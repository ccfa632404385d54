"""Open-set identification (1:N): is this probe anyone in the gallery, and who? As ISO/IEC 19795-1.

A probe (query) is *mated* if an item of the gallery has its label. It returns the best item if
that scores at or above the threshold, and nobody otherwise; larger is closer.

    FPIR(t) = share of non-mated probes whose best score is at or above t
    FNIR(t) = share of mated probes that are not at rank 1, or score below t

Rank 1 is of identities: the best item with the probe's label must score above every other item. A
tie counts as a miss, so a model that gives every item one vector identifies nobody.

References:
    [1] ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, part 1".
    [2] Grother, Ngan and Hanaoka, "Face recognition vendor test, part 2: identification",
        NISTIR 8271, 2019, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from registry.arrays import BoolArray, Float32Array, Float64Array, Int64Array

from ._arguments import check_metric
from ._pair_scores import PairScores, checked_rates
from ._relevance import Relevance

__all__ = ["Identification", "identification_thresholds", "identify"]

_NOBODY = np.float32(-np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """Best scores of every probe: all that errors at any threshold depend on.

    Attributes:
        mate: best score of an item with the probe's label, -inf if non-mated. Shape: (n_queries,)
        other: best score of any other item, -inf if there is none. Shape: (n_queries,)
    """

    mate: Float32Array
    other: Float32Array

    @property
    def is_mated(self) -> BoolArray:
        """Whether the probe is anyone in the gallery. Shape: (n_queries,)."""
        found: BoolArray = self.mate > _NOBODY
        return found

    def false_positives(self, threshold: float) -> BoolArray:
        """Return which non-mated probes return somebody; no mated one is among them.

        Their share of the non-mated probes is FPIR. Shape: (n_queries,).
        """
        found: BoolArray = ~self.is_mated & (self.other >= np.float32(threshold))
        return found

    def false_negatives(self, threshold: float) -> BoolArray:
        """Return which mated probes do not return their identity; no non-mated one is among them.

        Their share of the mated probes is FNIR. Shape: (n_queries,).
        """
        is_found = (self.mate > self.other) & (self.mate >= np.float32(threshold))
        found: BoolArray = self.is_mated & ~is_found
        return found

    def rates(self, thresholds: Float32Array) -> tuple[Float64Array, Float64Array]:
        """Return FPIR and FNIR at each threshold; NaN for a kind of probe that there is none of.

        Args:
            thresholds: Shape: (n_thresholds,)
        """
        n_mated = int(np.count_nonzero(self.is_mated))
        n_other = len(self.mate) - n_mated
        positives = [int(np.count_nonzero(self.false_positives(float(t)))) for t in thresholds]
        negatives = [int(np.count_nonzero(self.false_negatives(float(t)))) for t in thresholds]
        return _share(positives, n_other), _share(negatives, n_mated)


def identify(
    queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    *,
    excluded: Int64Array | None = None,
    metric: Literal["inner_product", "l2"] = "inner_product",
) -> Identification:
    """Search the whole gallery for every probe and return its best scores. The gallery is streamed.

    Args:
        queries: Shape: (n_queries, dim). For cosine similarity, normalise both sides before.
        gallery: one array or blocks of one gallery, in order. Shape: (n_gallery, dim)
        relevance: items with the probe's label; a non-mated probe has none.
        excluded: for each query the gallery position that does not exist for it, or -1.
        metric: inner product, or -||q - g||^2.

    Raises:
        ValueError: if an argument is as `score_rankings` refuses it.
    """
    pairs = PairScores(queries, gallery, relevance, excluded, is_l2=check_metric(metric))
    other = np.full(len(queries), _NOBODY)
    for piece in pairs.impostors():
        best = piece.whole.max(axis=1)
        other[piece.rows] = np.maximum(other[piece.rows], best)
    mate = np.full(len(queries), _NOBODY)
    np.maximum.at(mate, pairs.asking, pairs.genuine)
    return Identification(mate, other)


def identification_thresholds(
    found: Identification, false_positive_rates: Sequence[float], *, min_errors: int = 30
) -> Float32Array:
    """Return the smallest thresholds at which FPIR does not exceed the declared rates.

    Args:
        found: best scores of mated and non-mated probes.
        false_positive_rates: each in (0, 1).
        min_errors: false positives that a declared rate must let expect (the rule of 30).

    Raises:
        ValueError: if a rate is out of range, or below what the non-mated probes support.
    """
    scores = np.sort(found.other[~found.is_mated])[::-1]
    what = "non-mated probes"
    rates = checked_rates(false_positive_rates, len(scores), min_errors, what=what)
    allowed = np.floor(rates * len(scores) * (1 + 1e-12)).astype(np.int64)
    above: Float32Array = np.nextafter(scores[allowed], np.float32(np.inf))
    return above


def _share(counts: Sequence[int], n: int) -> Float64Array:
    return np.array(counts, dtype=np.float64) / n if n else np.full(len(counts), np.nan)
