"""Verification (1:1): is this pair one identity? Errors at a threshold, as in ISO/IEC 19795-1.

A query and a gallery item *match* if their score is at or above the threshold; larger is closer.
A pair with one label is genuine (mated), any other an impostor (non-mated).

    FMR(t)  = impostor pairs that match / impostor pairs             false match rate
    FNMR(t) = genuine pairs that do not match / genuine pairs        false non-match rate

FAR and TAR are used here as the papers use them, for pairs: FAR = FMR, TAR = 1 - FNMR.

References:
    [1] ISO/IEC 19795-1:2021, "Biometric performance testing and reporting, part 1".
    [2] Doddington et al., "The NIST speaker recognition evaluation", Speech Communication 31,
        2000: the rule of 30.
    [3] Dass, Zhu and Jain, "Validating a biometric authentication system: sample size
        requirements", TPAMI 28(12), 2006: correlated pairs need more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array

from ._arguments import check_metric
from ._calibration import Wanted, find_cuts, pass_once
from ._curves import ErrorCurve, curve_of, spread_rates
from ._pair_scores import MatchCounts, PairScores, checked_rates
from ._relevance import Relevance

__all__ = ["ErrorCurve", "MatchCounts", "Verification", "false_match_ratios", "verify"]

RULE_OF_30 = 30


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """Errors of one pair of versions at declared operating points.

    Attributes:
        declared: false match rates that were asked for. Shape: (n_rates,)
        recalibrated: matches at the thresholds that keep them on this very pair.
        deployed: matches at given thresholds, which nobody adapted, or None.
        curve: points of the ROC and DET curves.
    """

    declared: Float64Array
    recalibrated: MatchCounts
    deployed: MatchCounts | None
    curve: ErrorCurve


def verify(  # noqa: PLR0913 -- one door, three arrays and four named settings
    queries: Float32Array,
    gallery: Float32Array | Sequence[Float32Array],
    relevance: Relevance,
    *,
    false_match_rates: Sequence[float],
    deployed: Float32Array | None = None,
    excluded: Int64Array | None = None,
    metric: Literal["inner_product", "l2"] = "inner_product",
    min_errors: int = RULE_OF_30,
) -> Verification:
    """Compare every query with every item, and count matches twice: as deployed and recalibrated.

    The recalibrated threshold of a rate is the smallest at which the FMR does not exceed it, so
    the threshold just above an impostor's score. It is exact, and chosen on the pairs that it is
    then used on: of other pairs it promises nothing without a bound.

    The gallery is streamed three times; what is kept grows with queries and genuine pairs only.

    Args:
        queries: Shape: (n_queries, dim). For cosine similarity, normalise both sides before.
        gallery: one array or blocks of one gallery, in order. Shape: (n_gallery, dim)
        relevance: genuine pairs; a query may have none.
        false_match_rates: the declared operating points, each in (0, 1).
        deployed: thresholds in use today, chosen on old queries and old vectors; for instance
            the `recalibrated.thresholds` of that pair. Shape: (any,)
        excluded: for each query the gallery position that does not exist for it, or -1.
        metric: inner product, or -||q - g||^2.
        min_errors: false matches that a declared rate must let expect. With 30 the true rate is
            within 30 % of the measured one at 90 % confidence [2], if pairs were independent;
            they are not, and more are needed [3].

    Raises:
        ValueError: if a rate is out of range or below what the pairs support, there are no
            genuine or impostor pairs, or an argument is as `score_rankings` refuses it.
    """
    pairs = PairScores(queries, gallery, relevance, excluded, is_l2=check_metric(metric))
    n_impostor = int(pairs.n_impostor.sum())
    rates = checked_rates(false_match_rates, n_impostor, min_errors, what="impostor pairs")
    if len(relevance.indices) == 0:
        raise ValueError("there are no genuine pairs: no query has a relevant item")
    whole, none = np.zeros(len(queries), np.int64), np.empty(0, np.float32)
    upper = pass_once(pairs, whole, none, is_counted=True).upper
    wanted = [Wanted(rate) for rate in (*rates.tolist(), *spread_rates(n_impostor).tolist())]
    cuts = find_cuts(pairs, whole, upper, wanted)
    found = np.array([cut.threshold for cut in cuts], np.float32)
    n_matches = np.array([sum(cut.n_above) for cut in cuts])
    own, given = found[: len(rates)], _checked_thresholds(deployed)
    counts = pairs.count(np.concatenate([own, given]))
    return Verification(
        declared=rates,
        recalibrated=_columns(counts, slice(0, len(own))),
        deployed=None if deployed is None else _columns(counts, slice(len(own), None)),
        curve=curve_of(found, n_matches / n_impostor, pairs.genuine),
    )


def false_match_ratios(new: MatchCounts, old: MatchCounts) -> Float64Array:
    """Return how many times as often the new pair matches falsely at the deployed thresholds.

    Infinite where the old pair has no false match and the new one has, NaN where neither has.

    Args:
        new: new queries on old vectors, at the deployed thresholds.
        old: old queries on old vectors, at the same thresholds.

    Raises:
        ValueError: if the thresholds differ: the ratio would compare two settings.
    """
    if not np.array_equal(new.thresholds, old.thresholds):
        raise ValueError(
            f"both must be counted at the same thresholds but are at {new.thresholds.tolist()} "
            f"and {old.thresholds.tolist()}"
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(new.false_match_rate / old.false_match_rate, dtype=np.float64)


def _checked_thresholds(deployed: Float32Array | None) -> Float32Array:
    given = np.empty(0, np.float32) if deployed is None else np.asarray(deployed, np.float32)
    if given.ndim != 1 or np.isnan(given).any():
        raise ValueError(f"deployed must be a 1-d array of thresholds but got {deployed}")
    return given


def _columns(counts: MatchCounts, kept: slice) -> MatchCounts:
    return MatchCounts(
        counts.thresholds[kept],
        counts.n_genuine,
        counts.n_impostor,
        counts.genuine[:, kept],
        counts.impostor[:, kept],
    )
