"""Exact bounds for a rate: Clopper and Pearson's, and Gaffke's where trials come in clusters.

NumPy alone, because certifying must not need SciPy.

References:
    [1] Clopper and Pearson, "The use of confidence or fiducial limits illustrated in the case of
        the binomial", Biometrika 26(4), 1934.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import BoolArray, LabelArray

from .bounds import paired_difference_bounds
from .clusters import check_level
from .incomplete_beta import binomial_upper_tail

_N_ROUNDS = 6
_N_PARTS = 100  # into which each round cuts what is left of [0, 1]: to 1e-12


@dataclass(frozen=True, slots=True)
class RateBounds:
    """A rate with one bound on either side.

    Attributes:
        estimate: events a trial.
        low: lower bound, one-sided at `confidence_level`.
        high: upper bound, one-sided at `confidence_level`.
        confidence_level: of each bound.
        n_events: trials with an event.
        n_trials: trials.
        n_clusters: independent units among the trials.
    """

    estimate: float
    low: float
    high: float
    confidence_level: float
    n_events: int
    n_trials: int
    n_clusters: int


def rate_bounds(n_events: int, n_trials: int, *, confidence_level: float = 0.95) -> RateBounds:
    """Bound a rate of independent trials, by Clopper and Pearson's method [1].

    Each bound covers with at least its level whatever the rate and the number of trials. Where
    trials share an identity, a class or a gallery item they are not independent: see
    `clustered_rate_bounds`.

    Args:
        n_events: for instance queries that lost their hit.
        n_trials: for instance queries. At least 1.
        confidence_level: of each bound, in (0, 1).

    Raises:
        ValueError: if a count or the level is out of range.
    """
    check_counts(n_events, n_trials)
    check_level(confidence_level)
    error = 1 - confidence_level
    low, high = 0.0, 1.0
    if n_events > 0:
        low = _lower_limit(n_events, n_trials, error)
    if n_events < n_trials:
        high = 1 - _lower_limit(n_trials - n_events, n_trials, error)
    return RateBounds(
        n_events / n_trials, low, high, confidence_level, n_events, n_trials, n_trials
    )


def _lower_limit(n_events: int, n_trials: int, error: float) -> float:
    """Return about the largest rate at which so many events are improbable; they are, at it."""
    low, high = 0.0, 1.0
    for _ in range(_N_ROUNDS):
        rates = np.linspace(low, high, _N_PARTS + 1)
        tails = binomial_upper_tail(np.array(n_events), np.array(n_trials), rates)
        last = int(np.count_nonzero(tails <= error)) - 1  # tails rise with the rate
        low, high = float(rates[last]), float(rates[min(last + 1, _N_PARTS)])
    return low


def clustered_rate_bounds(
    events: BoolArray,
    clusters: LabelArray,
    *,
    confidence_level: float = 0.95,
    largest_cluster: float | None = None,
    n_resamples: int = 20_000,
    rng: np.random.Generator,
) -> RateBounds:
    """Bound a rate of trials that come in independent clusters, by Gaffke's bound.

    With clusters of one trial that is Clopper and Pearson's bound but for the resampling. What is
    assumed, and what is only conjectured, stands in `paired_difference_bounds`.

    Args:
        events: whether it happened, e.g. an impostor was accepted. Shape: (n_trials,)
        clusters: independent unit of each trial, e.g. the subject. Shape: (n_trials,)
        confidence_level: of each bound, in (0, 1).
        largest_cluster: the most trials that a cluster has, to be safe where sizes are unequal.
        n_resamples: draws of weights.
        rng: source of the weights.

    Raises:
        ValueError: if the arrays do not fit, events are not 0 or 1, or a setting is out of range.
    """
    happened = np.asarray(events, dtype=np.float64)
    if not np.isin(happened, (0.0, 1.0)).all():
        raise ValueError("events must be true or false, 1 or 0, but other values were found")
    bounds = paired_difference_bounds(
        np.zeros(happened.shape),
        happened,
        clusters,
        confidence_level=confidence_level,
        limits=(0.0, 1.0),
        largest_cluster=largest_cluster,
        n_resamples=n_resamples,
        rng=rng,
    )
    return RateBounds(
        estimate=bounds.estimate,
        low=bounds.low,
        high=bounds.high,
        confidence_level=confidence_level,
        n_events=int(happened.sum()),
        n_trials=len(happened),
        n_clusters=bounds.n_clusters,
    )


def upper_tail(n_events: int, n_trials: int, rate: float) -> float:
    """Return the probability of at least so many events, Binomial(n_trials, rate)."""
    return float(
        binomial_upper_tail(np.array([n_events]), np.array([n_trials]), np.array([rate]))[0]
    )


def check_counts(n_events: int, n_trials: int) -> None:
    """Refuse counts that are none.

    Raises:
        ValueError: if there is no trial, or not 0 to n_trials events.
    """
    if n_trials < 1:
        raise ValueError(f"n_trials must be at least 1 but got {n_trials}")
    if not 0 <= n_events <= n_trials:
        raise ValueError(f"n_events must be 0 to n_trials = {n_trials} but got {n_events}")
