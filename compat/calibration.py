"""Calibration: maps that bring the scores of several pairs of versions onto one scale.

Scores of new queries on old vectors, and on new ones, are not on one scale. For each pair a
logistic curve says how probable it is that a hit with a score is relevant; two scores mean the
same where those probabilities are equal. As log-odds are a straight line in the score, so is the
map from one pair's scores to another's. The scale onto which all are brought is the reference's:
the baseline's own, old queries on old vectors. A threshold that was chosen there holds on.

Two merges are candidates. In the *calibrated* one every pair has a map of its own. In the *raw*
one all have that of the first pair, which searches the reference's own vectors: so the order is
that of raw scores, and a threshold holds on there too. The calibrated one is taken only if it is
shown to be better; see `is_better`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, Float64Array, Int64Array, LabelArray
from registry.domain.calibration import ScoreMap

from .evaluation.ranking import Relevance, TopItems
from .stats.bounds import paired_difference_bounds
from .stats.clusters import cluster_means

DEPTH = 50  # hits of each query that a curve is fitted to
_RIDGE = 1.0  # as much as one doubtful hit: a curve exists however well scores separate
_STEPS, _TOLERANCE = 100, 1e-12


@dataclass(frozen=True, slots=True)
class Judged:
    """The first hits of each query of one pair.

    Attributes:
        scores: larger is closer, -inf where there is no hit. Shape: (n_queries, depth).
        is_relevant: whether each is relevant. Shape: (n_queries, depth).
    """

    scores: Float64Array
    is_relevant: BoolArray

    @classmethod
    def of(cls, top: TopItems, relevance: Relevance) -> Judged:
        """Judge the first items of a cell."""
        found = [relevance.holds(column) for column in top.positions.T]
        return cls(top.scores.astype(np.float64), np.stack(found, axis=1))

    def flat(self, rows: Int64Array) -> tuple[Float64Array, BoolArray]:
        """Return score and relevance of all hits of some queries."""
        scores, relevant = self.scores[rows].ravel(), self.is_relevant[rows].ravel()
        is_there = np.isfinite(scores)
        return scores[is_there], relevant[is_there]


@dataclass(frozen=True, slots=True)
class Curve:
    """Log-odds of being relevant, ``slope * score + intercept``."""

    slope: float
    intercept: float

    def onto(self, reference: Curve) -> ScoreMap:
        """Return the map to the reference's scores that mean the same."""
        return ScoreMap(
            self.slope / reference.slope, (self.intercept - reference.intercept) / reference.slope
        ).steady()


def fit_curve(scores: Float64Array, is_relevant: BoolArray) -> Curve | None:
    """Fit a logistic curve by Newton's method; None if it does not rise or cannot be told.

    Scores are standardised and the slope has a small ridge, so that a curve exists where scores
    separate perfectly. Hits of both kinds are needed, with scores that differ.

    Args:
        scores: finite. Shape: (n,).
        is_relevant: Shape: (n,).
    """
    if not 0 < np.count_nonzero(is_relevant) < len(is_relevant):
        return None
    mean, spread = float(scores.mean()), float(scores.std())
    if not spread > 1e-12 * max(1.0, abs(mean)):
        return None
    slope, intercept = _newton((scores - mean) / spread, is_relevant.astype(np.float64))
    if not slope > 0:
        return None
    return Curve(slope / spread, intercept - slope * mean / spread)


def _newton(x: Float64Array, y: Float64Array) -> tuple[float, float]:
    """Minimise the logistic loss plus half a ridge on the slope; steps are halved if too long."""
    share = float(y.mean())
    point = np.array([0.0, math.log(share / (1 - share))])
    loss = _loss(x, y, point)
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-(point[0] * x + point[1])))
        weight = p * (1 - p)
        gradient = np.array([(p - y) @ x + _RIDGE * point[0], (p - y).sum()])
        cross = weight @ x
        hessian = np.array([[weight @ (x * x) + _RIDGE, cross], [cross, weight.sum() + 1e-12]])
        step = np.linalg.solve(hessian, gradient)
        length = 1.0
        while (reached := _loss(x, y, point - length * step)) > loss and length > 1e-9:
            length /= 2
        if reached > loss:
            break
        gained, loss, point = loss - reached, reached, point - length * step
        if gained <= _TOLERANCE * max(1.0, loss):
            break
    return float(point[0]), float(point[1])


def _loss(x: Float64Array, y: Float64Array, point: Float64Array) -> float:
    odds = point[0] * x + point[1]
    return float((np.logaddexp(0, odds) - y * odds).sum() + _RIDGE * point[0] ** 2 / 2)


def fit_maps(
    reference: Judged, pairs: Mapping[str, Judged], rows: Int64Array
) -> dict[str, ScoreMap] | None:
    """Fit each pair's own map onto the reference's scale; None if a curve cannot be told.

    Args:
        reference: hits of the baseline's own queries on its own vectors.
        pairs: hits of each pair, by name, of the same queries.
        rows: the queries that are fitted to.
    """
    base = fit_curve(*reference.flat(rows))
    curves = {name: fit_curve(*judged.flat(rows)) for name, judged in pairs.items()}
    known = {name: curve for name, curve in curves.items() if curve is not None}
    if base is None or len(known) < len(pairs):
        return None
    return {name: curve.onto(base) for name, curve in known.items()}


def share_first(maps: Mapping[str, ScoreMap]) -> dict[str, ScoreMap]:
    """Return the raw merge: every pair with the map of the first one."""
    return dict.fromkeys(maps, next(iter(maps.values())))


@dataclass(frozen=True, slots=True)
class QueryMaps:
    """A score map of each query, for one pair.

    Attributes:
        scale: Shape: (n_queries,).
        offset: Shape: (n_queries,).
    """

    scale: Float64Array
    offset: Float64Array


def halve(units: LabelArray, rng: np.random.Generator) -> BoolArray:
    """Return which queries are of the first half of the units. Shape: (n_queries,)."""
    names, which = np.unique(units, return_inverse=True)
    is_first: BoolArray = rng.permutation(len(names)) < (len(names) + 1) // 2
    return is_first[which]


def cross_fit(
    reference: Judged, pairs: Mapping[str, Judged], is_first: BoolArray
) -> dict[str, QueryMaps] | None:
    """Return each query's own maps by pair, fitted to the other half of the units.

    None if a half does not tell a curve.
    """
    halves = [np.flatnonzero(is_first), np.flatnonzero(~is_first)]
    fitted = [fit_maps(reference, pairs, rows) for rows in halves if len(rows)]
    if len(fitted) < 2 or fitted[0] is None or fitted[1] is None:
        return None
    of_first, of_second = fitted[0], fitted[1]
    return {
        name: QueryMaps(
            np.where(is_first, of_second[name].scale, of_first[name].scale),
            np.where(is_first, of_second[name].offset, of_first[name].offset),
        )
        for name in pairs
    }


def is_better(
    raw: Sequence[Float64Array],
    calibrated: Sequence[Float64Array],
    units: LabelArray,
    *,
    confidence_level: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> bool:
    """Whether the calibrated merge is shown to be better than the raw one on mixed galleries.

    It is if the mean AP over units is not lower at any share, and the lower confidence bound of
    the mean difference, over all shares and then over units, is above 0. One bound, so nothing is
    corrected for. The differences must be of queries that no map was fitted to.

    Args:
        raw: AP of each query at each share, merged raw. Shape of each: (n_queries,).
        calibrated: the same, calibrated.
        units: the independent unit of each query.
        confidence_level: of the bound, one-sided.
        n_resamples: resamples behind it.
        rng: source of randomness.
    """
    by_share = [
        cluster_means(mine - other, units) for mine, other in zip(calibrated, raw, strict=True)
    ]
    if min(float(means.mean()) for means in by_share) < 0:
        return False
    difference = np.mean(by_share, axis=0)
    bounds = paired_difference_bounds(
        np.zeros(len(difference)),
        difference,
        np.arange(len(difference)),
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        rng=rng,
    )
    return bounds.low > 0
