"""Shares of pairs and probes that are accepted, query by query, at thresholds from elsewhere.

A threshold that was chosen on the pairs it is used on flatters: it knows them. So a declared error
rate is kept on one half of the independent units, and what is accepted is counted on the other
half, and the reverse (cross-fitting). A deployed threshold is given and knows none of them.

References:
    [1] ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, part 1".
    [2] Chernozhukov et al., "Double/debiased machine learning for treatment and structural
        parameters", Econometrics Journal 21(1), 2018: cross-fitting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from registry.arrays import BoolArray, Float32Array, Float64Array, Int64Array

from ._arguments import check_metric
from ._calibration import Cut, FirstPass, Wanted, find_cuts, pass_once
from ._curves import ErrorCurve, curve_of, spread_rates
from ._pair_scores import PairScores, checked_rates
from ._relevance import Relevance
from .identification import Identification, identification_thresholds

__all__ = ["AtDeployed", "ErrorCurve", "OperatingPoints", "Recalibrated", "measure_points"]


@dataclass(frozen=True, slots=True, eq=False)
class Recalibrated:
    """A declared error rate, kept on each half and tried on the other.

    Attributes:
        threshold: the smallest one that keeps the rate on all queries: the one to deploy.
        halves: those that keep it on either half.
        error_rate: what the rate comes to where each half is tried at the other's threshold.
        accepted: share of the query's genuine pairs that match, or whether it is identified, at
            the threshold of the half that it is not in. Shape: (n_queries,)
    """

    threshold: float
    halves: tuple[float, float]
    error_rate: float
    accepted: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class AtDeployed:
    """What a given threshold does.

    Attributes:
        error_rate: share of all impostor pairs that match.
        accepted: share of the query's genuine pairs that match. Shape: (n_queries,)
        rejected: share of the query's impostor pairs that do not match. Shape: (n_queries,)
    """

    error_rate: float
    accepted: Float64Array
    rejected: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class OperatingPoints:
    """What a pair of versions does at thresholds.

    Attributes:
        genuine: best score of a genuine pair of the query. Shape: (n_queries,)
        impostor: best score of an impostor pair of it. Shape: (n_queries,)
        verified: by false match rate.
        identified: by false positive identification rate.
        deployed: by threshold.
        curve: points of the ROC and DET curves of all pairs, or None if not asked for.
    """

    genuine: Float32Array
    impostor: Float32Array
    verified: Mapping[float, Recalibrated]
    identified: Mapping[float, Recalibrated]
    deployed: Mapping[float, AtDeployed]
    curve: ErrorCurve | None


def measure_points(  # noqa: PLR0913 -- four arrays, three kinds of operating points, two settings
    queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    halves: Int64Array,
    *,
    false_match_rates: Sequence[float] = (),
    false_positive_rates: Sequence[float] = (),
    deployed: Sequence[float] = (),
    with_curve: bool = False,
    excluded: Int64Array | None = None,
    metric: Literal["inner_product", "l2"] = "inner_product",
) -> OperatingPoints:
    """Measure every query at recalibrated and at deployed thresholds. The gallery is streamed.

    Verification (1:1) counts pairs, as `verify` does. Identification (1:N) searches every query
    twice: as it is, and with its own label's items left out, which makes it a probe of somebody
    who is not in the gallery; its best impostor score is what that search returns. A tie of mate
    and impostor is a miss, as in `identify`.

    The gallery is read once, and once more for false match rates and the curve.

    Args:
        queries: Shape: (n_queries, dim). For cosine similarity, normalise both sides before.
        gallery: one array or blocks of one gallery, in order. Shape: (n_gallery, dim)
        relevance: genuine pairs; every query has one, and an impostor pair too.
        halves: 0 or 1; queries of one independent unit are in one half. Shape: (n_queries,)
        false_match_rates: declared for verification, each in (0, 1).
        false_positive_rates: declared for identification, each in (0, 1).
        deployed: thresholds in use.
        with_curve: whether points of the ROC and DET curves are wanted.
        excluded: for each query the gallery position that does not exist for it, or -1.
        metric: inner product, or -||q - g||^2.

    Raises:
        ValueError: if a query has no genuine or no impostor pair, halves are not two or a rate
            is out of range, or an argument is as `score_rankings` refuses it.
    """
    pairs = PairScores(queries, gallery, relevance, excluded, is_l2=check_metric(metric))
    n_genuine = np.bincount(pairs.asking, minlength=len(queries))
    _check_pairs(n_genuine, pairs.n_impostor)
    if len(false_match_rates) or len(false_positive_rates):
        _check_halves(halves, len(queries))
    for rates in (false_match_rates, false_positive_rates):
        checked_rates(rates, len(queries), 0, what="queries")
    given = np.array(deployed, dtype=np.float32)
    is_counted = with_curve or len(false_match_rates) > 0
    seen = pass_once(pairs, halves, given, is_counted=is_counted)
    job = _Job(pairs, halves, n_genuine, seen)
    verified, curve = job.verified(false_match_rates, with_curve=with_curve)
    return OperatingPoints(
        genuine=job.mate,
        impostor=seen.best,
        verified=verified,
        identified={rate: job.identified(rate) for rate in false_positive_rates},
        deployed={t: job.at_deployed(column, given[column]) for column, t in enumerate(deployed)},
        curve=curve,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """The pairs after a first pass over them."""

    pairs: PairScores
    halves: Int64Array
    n_genuine: Int64Array
    seen: FirstPass

    @property
    def mate(self) -> Float32Array:
        """Best score of a genuine pair of each query."""
        best = np.full(len(self.halves), np.float32(-np.inf))
        np.maximum.at(best, self.pairs.asking, self.pairs.genuine)
        return best

    def verified(
        self, rates: Sequence[float], *, with_curve: bool
    ) -> tuple[dict[float, Recalibrated], ErrorCurve | None]:
        """Return what false match rates let match, and the curve."""
        n_impostor = self.pairs.n_impostor
        total = int(n_impostor.sum())
        spread = spread_rates(total).tolist() if with_curve else []
        wanted = [Wanted(rate, half) for rate in rates for half in (None, 0, 1)]
        wanted += [Wanted(rate) for rate in spread]
        cuts = find_cuts(self.pairs, self.halves, self.seen.upper, wanted)
        found = {
            rate: self._recalibrated(*cuts[3 * place : 3 * place + 3])
            for place, rate in enumerate(rates)
        }
        points = cuts[3 * len(rates) :]
        if not points:
            return found, None
        thresholds = np.array([cut.threshold for cut in points], dtype=np.float32)
        shares = np.array([sum(cut.n_above) for cut in points]) / total
        return found, curve_of(thresholds, shares, self.pairs.genuine)

    def _recalibrated(self, whole: Cut, first: Cut, second: Cut) -> Recalibrated:
        thresholds = np.array([first.threshold, second.threshold], dtype=np.float32)
        others = thresholds[1 - self.halves]  # of the half that a query is not in
        n_false = first.n_above[1] + second.n_above[0]
        return Recalibrated(
            float(whole.threshold),
            (float(first.threshold), float(second.threshold)),
            n_false / int(self.pairs.n_impostor.sum()),
            self._matching(others[self.pairs.asking]),
        )

    def identified(self, rate: float) -> Recalibrated:
        """Return who is identified at the thresholds that keep a false positive rate."""
        best, mate = self.seen.best, self.mate
        whole = _keeping(best, rate)
        halves = [_keeping(best[self.halves == half], rate) for half in (0, 1)]
        others = np.array(halves, dtype=np.float32)[1 - self.halves]
        is_found: BoolArray = (mate > best) & (mate >= others)
        n_false = int(np.count_nonzero(best >= others))
        return Recalibrated(
            float(whole),
            (float(halves[0]), float(halves[1])),
            n_false / len(best),
            is_found.astype(np.float64),
        )

    def at_deployed(self, column: int, threshold: np.float32) -> AtDeployed:
        """Return what a given threshold does."""
        matches, n_impostor = self.seen.matches[:, column], self.pairs.n_impostor
        every = np.full(len(self.pairs.asking), threshold)
        return AtDeployed(
            int(matches.sum()) / int(n_impostor.sum()),
            self._matching(every),
            1.0 - matches / n_impostor,
        )

    def _matching(self, thresholds: Float32Array) -> Float64Array:
        """Return each query's share of genuine pairs that match.

        Args:
            thresholds: of each genuine pair. Shape: (n_pairs,)
        """
        matched = self.pairs.asking[self.pairs.genuine >= thresholds]
        shares: Float64Array = np.bincount(matched, minlength=len(self.halves)) / self.n_genuine
        return shares


def _keeping(best: Float32Array, rate: float) -> np.float32:
    """Return the smallest threshold at which no more than so many searches return somebody."""
    nobody = np.full(len(best), np.float32(-np.inf))
    found = identification_thresholds(Identification(nobody, best), [rate], min_errors=0)
    return np.float32(found[0])


def _check_pairs(n_genuine: Int64Array, n_impostor: Int64Array) -> None:
    for what, counts in (("genuine", n_genuine), ("impostor", n_impostor)):
        n_lost = int(np.count_nonzero(counts == 0))
        if n_lost:
            raise ValueError(f"{n_lost} of {len(counts)} queries have no {what} pair")


def _check_halves(halves: Int64Array, n_queries: int) -> None:
    if halves.shape != (n_queries,) or set(np.unique(halves).tolist()) != {0, 1}:
        raise ValueError(
            f"halves must be 0 and 1, both of them, of shape ({n_queries},) "
            f"but are {np.unique(halves).tolist()[:5]} of shape {halves.shape}"
        )
