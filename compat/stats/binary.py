"""Exact inference for paired binary outcomes of independent queries: hits gained and hits lost.

References:
    [1] McNemar, "Note on the sampling error of the difference between correlated proportions or
        percentages", Psychometrika 12(2), 1947.
    [2] Buehler, "Confidence intervals for the product of two binomial parameters", JASA 52(280),
        1957; Lloyd and Kabaila, "On the optimality and limitations of Buehler bounds", Australian
        & New Zealand Journal of Statistics 45(2), 2003.
    [3] Hsueh, Liu and Chen, "Unconditional exact tests for equivalence or noninferiority for
        paired binary endpoints", Biometrics 57(2), 2001.
    [4] Berger and Boos, "P values maximized over a confidence set for the nuisance parameter",
        JASA 89(427), 1994.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from registry.arrays import Float64Array, Int64Array

from .binomial import rate_bounds, upper_tail
from .bounds import DifferenceBounds
from .clusters import check_level
from .incomplete_beta import binomial_upper_tail, log_factorial_table

_NUISANCE_SHARE = 0.02  # of the error, spent on the share of queries that change at all
_N_CELLS = 100  # into which the range of that share is cut
_N_HALVINGS = 12  # of four standard errors: to a thousandth of one
_REACH = 6.0  # standard deviations; what lies beyond (1e-9) counts against the bound


@dataclass(frozen=True, slots=True)
class McNemarResult:
    """Exact McNemar test of "a query is as likely to gain its hit as to lose it".

    Attributes:
        n_gains: queries that only the candidate answers.
        n_losses: queries that only the baseline answers.
        greater: one-sided p-value, small if gains prevail.
        less: one-sided p-value, small if losses prevail.
        two_sided: twice the smaller, at most 1.
    """

    n_gains: int
    n_losses: int
    greater: float
    less: float
    two_sided: float


def mcnemar_exact(n_gains: int, n_losses: int) -> McNemarResult:
    """Test whether gains and losses are equally likely, given how many queries changed [1].

    Given n changed queries the gains are Binomial(n, 1/2) under the hypothesis, so that the
    p-values are exact. It answers superiority, not non-inferiority with a margin: for that see
    `paired_proportion_bounds`. Queries are taken as independent.

    Raises:
        ValueError: if a count is negative.
    """
    if min(n_gains, n_losses) < 0:
        raise ValueError(f"counts must be at least 0 but got {n_gains} and {n_losses}")
    n_changed = n_gains + n_losses
    greater, less = upper_tail(n_gains, n_changed, 0.5), upper_tail(n_losses, n_changed, 0.5)
    return McNemarResult(n_gains, n_losses, greater, less, min(1.0, 2 * min(greater, less)))


def paired_proportion_bounds(
    n_gains: int, n_losses: int, n_queries: int, *, confidence_level: float = 0.95
) -> DifferenceBounds:
    """Bound the difference of two hit rates on the same independent queries, exactly.

    Gains and losses are trinomial with probabilities p and q; the difference is p - q, and the
    share of queries that change, s = p + q, is a nuisance. Outcomes are ordered by a simple
    approximate lower bound, b - c - z sqrt(b + c + 1) for b gains and c losses, made monotone in
    both. The lower bound is the smallest difference at which an outcome at least as high as the
    observed one is not improbable [2] for some s in a Clopper-Pearson interval of it, whose own
    error is paid for [4]. More gains and fewer losses never lower the order, so that its
    probability grows with p and falls with q [3]; therefore the worst case over any interval of s
    is bounded by its corner, and nothing hangs on a grid.

    Coverage is at least `confidence_level` for every p, q and number of queries: proved, not
    simulated. The upper bound is that of the exchanged models with the sign changed.

    Args:
        n_gains: queries that only the candidate answers.
        n_losses: queries that only the baseline answers.
        n_queries: all queries, each an independent unit.
        confidence_level: of each bound, in [0.5, 1).

    Raises:
        ValueError: if a count is negative, they exceed the queries, or the level is out of range.
    """
    _check_pairs(n_gains, n_losses, n_queries, confidence_level)
    return DifferenceBounds(
        estimate=(n_gains - n_losses) / n_queries,
        low=_lower_bound(n_gains, n_losses, n_queries, confidence_level),
        high=-_lower_bound(n_losses, n_gains, n_queries, confidence_level),
        confidence_level=confidence_level,
        n_queries=n_queries,
        n_clusters=n_queries,
    )


def _lower_bound(n_gains: int, n_losses: int, n_queries: int, confidence_level: float) -> float:
    if n_losses == n_queries:
        return -1.0
    error = (1 - confidence_level) * (1 - _NUISANCE_SHARE)
    changed = rate_bounds(
        n_gains + n_losses,
        n_queries,
        confidence_level=1 - (1 - confidence_level) * _NUISANCE_SHARE / 2,
    )
    fewest = _fewest_gains(n_gains, n_losses, n_queries, confidence_level)

    edges = np.linspace(changed.low, changed.high, _N_CELLS + 1)

    def is_improbable(difference: float) -> bool:
        gains, losses = _corners(difference, edges)
        return bool(np.all(_region_probabilities(gains, losses, fewest) <= error))

    estimate = (n_gains - n_losses) / n_queries
    z = NormalDist().inv_cdf(confidence_level)
    start = max(-1.0, estimate - 2 * (z + 0.5) * math.sqrt(changed.high / n_queries))
    ends = (start, estimate) if is_improbable(start) else (-1.0, start)
    return _last_where(is_improbable, ends, _N_HALVINGS if ends[1] == estimate else 2 * _N_HALVINGS)


def _last_where(
    holds: Callable[[float], bool], between: tuple[float, float], n_halvings: int
) -> float:
    """Return, by bisection, about the last place at which something holds.

    It does hold there, or there is the lower end: a bound taken from it errs on the safe side.
    """
    low, high = between
    for _ in range(n_halvings):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def _fewest_gains(
    n_gains: int, n_losses: int, n_queries: int, confidence_level: float
) -> Float64Array:
    """Return how many gains an outcome needs to be at least as high as the one that was observed.

    Shape: (n_queries + 1,), one for each number of changed queries; it may be more than there are.
    """
    z = NormalDist().inv_cdf(confidence_level)
    changed = np.arange(n_queries + 1)
    spread = z * np.sqrt(changed + 1.0)
    observed = n_gains - n_losses - spread[n_gains + n_losses]
    fewest = np.ceil((changed + observed + spread) / 2 - 1e-9)
    # made monotone: one more gain, or one loss fewer, must not lead out of the region [3]
    fewest = np.minimum.accumulate(fewest - changed) + changed
    fewest = np.minimum.accumulate(fewest[::-1])[::-1]
    return np.maximum(fewest, 0)


def _corners(difference: float, edges: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return, for each interval of shares, the most gains and the fewest losses within it.

    Shares below the difference itself are impossible, and so left out.
    """
    starts, stops = np.maximum(edges[:-1], abs(difference)), edges[1:]
    is_possible = starts <= stops
    return (stops[is_possible] + difference) / 2, (starts[is_possible] - difference) / 2


def _region_probabilities(
    gain_rates: Float64Array, loss_rates: Float64Array, fewest: Float64Array
) -> Float64Array:
    """Return the probabilities of enough gains, never too low: what is not summed counts as such.

    They are one less the mass outside the region: the number of changed queries is binomial, and
    so, given that number, are the gains. All arrays but `fewest` have one entry a pair of rates.
    """
    n_queries = len(fewest) - 1
    shares = np.minimum(gain_rates + loss_rates, 1.0)[:, None]
    rates = np.divide(gain_rates[:, None], shares, out=np.zeros_like(shares), where=shares > 0)
    reach = _REACH * np.sqrt(n_queries * shares * (1 - shares)) + _REACH**2 / 2
    first = np.maximum(np.floor(n_queries * shares - reach), 0)
    width = min(n_queries, int(2 * reach.max(initial=0)) + 2)
    changed = (first + np.arange(width + 1)).astype(np.int64)
    mass = np.where(
        changed <= n_queries, _mass(np.minimum(changed, n_queries), n_queries, shares), 0
    )
    changed = np.minimum(changed, n_queries)
    losses = changed - fewest[changed]  # the most there may be: one more is outside
    outside: Float64Array = binomial_upper_tail(losses + 1, changed, 1 - rates)
    inside: Float64Array = 1 - np.sum(mass * outside, axis=1)
    return inside


def _mass(n_events: Int64Array, n_trials: int, rates: Float64Array) -> Float64Array:
    """Return binomial probabilities."""
    table = log_factorial_table(n_trials)
    log_mass = table[n_trials] - table[n_events] - table[n_trials - n_events]
    with np.errstate(divide="ignore", invalid="ignore"):
        log_mass = log_mass + np.where(n_events > 0, n_events * np.log(rates), 0.0)
        rest = n_trials - n_events
        log_mass = log_mass + np.where(rest > 0, rest * np.log1p(-rates), 0.0)
    mass: Float64Array = np.exp(log_mass)
    return mass


def _check_pairs(n_gains: int, n_losses: int, n_queries: int, confidence_level: float) -> None:
    check_level(confidence_level)
    if confidence_level < 0.5:
        raise ValueError(f"confidence_level must be at least 0.5 but got {confidence_level}")
    if n_queries < 1 or min(n_gains, n_losses) < 0 or n_gains + n_losses > n_queries:
        raise ValueError(
            "gains and losses must be at least 0 and no more than the queries together but got "
            f"{n_gains} gains and {n_losses} losses of {n_queries} queries"
        )
