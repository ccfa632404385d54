"""How many independent units a claim needs, before it is tried and after it stayed open.

References:
    [1] Chow, Shao, Wang and Lokhnygina, "Sample size calculations in clinical research", 3rd ed.,
        2017, section 3.1.3 (non-inferiority and superiority, one sample).
    [2] Connor, "Sample size for testing differences in proportions for the paired-sample design",
        Biometrics 43(1), 1987.
    [3] Browne, "On the use of a pilot sample for sample size determination", Statistics in
        Medicine 14(17), 1995.
    [4] Wilson and Hilferty, "The distribution of chi-square", PNAS 17(12), 1931.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from registry.arrays import Float64Array, LabelArray

from .clusters import check_level, checked_differences, sum_by_cluster

_NORMAL = NormalDist()
_PILOT_LEVEL = 0.8  # of the upper bound of a standard deviation that was estimated [3]


@dataclass(frozen=True, slots=True)
class RequiredUnits:
    """How many independent units are needed to show a difference above minus the margin.

    Attributes:
        by_normal: for a bound by the normal approximation: the textbook number.
        by_resolution: below this Gaffke's bound cannot show it, even if nothing varies.
        n_units: for Gaffke's bound, with the power that was asked for; no less than the others.
    """

    by_normal: int
    by_resolution: int
    n_units: int


def required_units(
    margin: float,
    sd: float,
    *,
    difference: float = 0.0,
    confidence_level: float = 0.95,
    power: float = 0.8,
    lower_limit: float = -1.0,
) -> RequiredUnits:
    """Return the number of units that shows, with this power, a difference above minus the margin.

    With z the quantiles of level and power, the normal number is
    ((z_level + z_power) sd / (margin + difference))^2 [1]. For 0/1 outcomes the variance of a
    difference is the share of queries that change [2], see `binary_sd`. Gaffke's bound charges
    for one more, unseen unit at the worst value L, whose weight is about an exponential over n.
    That lowers the bound by d = (difference - L) / n in the mean; its spread beyond the mean,
    d (-log(alpha) - 1) at the level, is added to the normal one in squares.

    Args:
        margin: how much worse is still accepted; 0 for superiority.
        sd: standard deviation of the difference of a unit, see `unit_sd`.
        difference: the true difference for which the power is wanted.
        confidence_level: of the one-sided bound.
        power: probability of showing it, in [0.5, 1).
        lower_limit: the smallest difference that is possible.

    Raises:
        ValueError: if a value is out of range, or the difference is not above minus the margin.
    """
    distance, drop = margin + difference, difference - lower_limit
    _check_plan(margin, sd, distance, drop)
    _check_power(power)
    resolution = resolving_units(distance, confidence_level, width=drop)
    z_level, z_power = _NORMAL.inv_cdf(confidence_level), _NORMAL.inv_cdf(power)
    z = max(0.0, z_level + z_power)
    by_normal = max(1, math.ceil((z * sd / distance) ** 2 - 1e-9))
    excess = max(0.0, -math.log1p(-confidence_level) - 1)

    def is_enough(n: int) -> bool:
        bound = math.hypot(z_level * sd / math.sqrt(n), excess * drop / n) + drop / n
        return bound + z_power * sd / math.sqrt(n) <= distance

    return RequiredUnits(by_normal, resolution, _fewest(is_enough, max(by_normal, resolution)))


def _fewest(is_enough: Callable[[int], bool], start: int) -> int:
    """Return the fewest from the start on that are enough, where more always are too."""
    if is_enough(start):
        return start
    few, many = start, 2 * start
    while not is_enough(many):
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(middle) else (middle, many)
    return many


def resolving_units(margin: float, confidence_level: float = 0.95, *, width: float = 1.0) -> int:
    """Return the fewest units with which Gaffke's bound can exclude a drop of the margin.

    That is where no unit differs: ceil(log(1 - level) / log(1 - margin / width)), about 3 / margin
    at 0.95.

    Args:
        margin: in (0, width].
        confidence_level: of the one-sided bound.
        width: the largest drop that is possible.

    Raises:
        ValueError: if a value is out of range.
    """
    check_level(confidence_level)
    if not 0 < margin <= width:
        raise ValueError(f"margin must be in (0, {width}] but got {margin}")
    if margin == width:
        return 1
    return max(1, math.ceil(math.log1p(-confidence_level) / math.log1p(-margin / width) - 1e-9))


def further_units(  # noqa: PLR0913 (what was found, and the plan)
    estimate: float,
    sd: float,
    n_units: int,
    *,
    margin: float,
    confidence_level: float = 0.95,
    power: float = 0.8,
    lower_limit: float = -1.0,
) -> int | None:
    """Return how many more units would show the claim if the truth is what was estimated.

    The standard deviation is taken at its upper 80 % bound, because one from a small sample is
    too small as often as too large [3]. The estimate is taken as it is: after an inconclusive
    result it is the best guess, not a promise. Trying again counts as another attempt (attempts).

    Args:
        estimate: mean difference that was found.
        sd: standard deviation of a unit's difference that was found.
        n_units: independent units that were measured, at least 1.
        margin: how much worse is still accepted; 0 for superiority.
        confidence_level: of the one-sided bound.
        power: probability of showing it then.
        lower_limit: the smallest difference that is possible.

    Returns:
        the number, 0 if there are enough already; None if no number can be given, because the
        estimate is not above minus the margin or the spread is unknown (infinite).

    Raises:
        ValueError: if a value is out of range.
    """
    if n_units < 1:
        raise ValueError(f"n_units must be at least 1 but got {n_units}")
    if margin + estimate <= 0 or sd == math.inf:
        return None
    needed = required_units(
        margin,
        sd * _pilot_factor(n_units),
        difference=estimate,
        confidence_level=confidence_level,
        power=power,
        lower_limit=lower_limit,
    )
    return max(0, needed.n_units - n_units)


def unit_sd(baseline: Float64Array, candidate: Float64Array, clusters: LabelArray) -> float:
    """Return the standard deviation that a unit adds to the mean difference.

    For clusters of one query that of the differences; for clusters c of n_c queries with sums S_c
    that of (S_c - mean n_c) / mean size, so that the standard error is it over the root of the
    number of clusters. Infinite if there is one cluster only: nothing is known then.

    Raises:
        ValueError: if shapes disagree or are empty, or a value is NaN.
    """
    sums = sum_by_cluster(checked_differences(baseline, candidate, clusters), clusters)
    if sums.n_clusters < 2:
        return math.inf
    pull = (sums.differences - sums.mean * sums.sizes) / sums.mean_size
    return float(np.sqrt(sums.repeats @ pull**2 / (sums.n_clusters - 1)))


def binary_sd(changed: float, difference: float = 0.0) -> float:
    """Return the standard deviation of a 0/1 metric's difference when a share of queries changes.

    Args:
        changed: share of queries whose outcome differs, in [0, 1].
        difference: mean difference, between minus and plus that share.

    Raises:
        ValueError: if a share is out of range.
    """
    if not abs(difference) <= changed <= 1:
        raise ValueError(
            f"changed must be in [|difference|, 1] = [{abs(difference)}, 1] but got {changed}"
        )
    return math.sqrt(changed - difference**2)


def _check_power(power: float) -> None:
    if not 0.5 <= power < 1:
        raise ValueError(f"power must be in [0.5, 1) but got {power}")


def _pilot_factor(n_units: int) -> float:
    """Return sqrt(df / chi^2), chi^2 the lower quantile by Wilson and Hilferty [3, 4]."""
    freedom = max(1, n_units - 1)
    share = 2 / (9 * freedom)
    root = 1 - share + _NORMAL.inv_cdf(1 - _PILOT_LEVEL) * math.sqrt(share)
    return float(root**-1.5)


def _check_plan(margin: float, sd: float, distance: float, drop: float) -> None:
    if not (margin >= 0 and 0 <= sd < math.inf):
        raise ValueError(f"margin and sd must be finite and at least 0 but got {margin}, {sd}")
    if not 0 < distance <= drop:
        raise ValueError(
            "the difference must lie above minus the margin and the margin within the limits but "
            f"they are {distance} apart, and {drop} is the largest drop"
        )
