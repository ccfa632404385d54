"""Claims about several slices at once.

*Every* slice is not worse: an intersection-union test. Each slice is tried at the full level and
all must pass; no correction is due, because the claim is false as soon as one slice is worse, and
that one passes with at most the error of a single test [1].

*Some* slice changed, and which: Holm's procedure, since any of the slices may pass by chance [2].

References:
    [1] Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24(4),
        1982.
    [2] Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
        Statistics 6(2), 1979.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array


class Outcome(enum.Enum):
    """What the bounds of one group show about a threshold."""

    ABOVE = "above"
    BELOW = "below"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class GroupBounds:
    """One group's bounds, however they were made.

    Attributes:
        low: one-sided lower bound of the group's mean difference.
        high: one-sided upper bound.
        n_units: independent units in the group.
    """

    low: float
    high: float
    n_units: int


@dataclass(frozen=True, slots=True)
class WorstGroup:
    """What can be said of the worst of all groups, whichever it is.

    Attributes:
        low: lower bound of the smallest group mean; None if a group is too small to be heard,
            because it may be the worst.
        low_of_measured: the same for the groups that are large enough; None if there is none.
        lowest: index of the group whose bound that is; None if there is none.
        too_small: indices of the groups that are not heard.
    """

    low: float | None
    low_of_measured: float | None
    lowest: int | None
    too_small: tuple[int, ...]


def holm_adjusted(p_values: Float64Array) -> Float64Array:
    """Return p-values adjusted for the choice among them, by Holm's step-down procedure [2].

    Rejecting what is at most alpha makes the probability of any false rejection at most alpha,
    however the tests depend on each other. In ascending order the i-th of m becomes the running
    maximum of (m - i + 1) p_i, at most 1.

    Args:
        p_values: one a claim. Shape: (n_claims,)

    Raises:
        ValueError: if they are not 1-d, or one is NaN or outside [0, 1].
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    if p_values.ndim != 1:
        raise ValueError(f"p_values must be 1-d but have shape {p_values.shape}")
    if not np.all((p_values >= 0) & (p_values <= 1)):  # NaN is neither
        raise ValueError(f"p_values must be in [0, 1] but got {p_values.tolist()}")
    order = np.argsort(p_values, kind="stable")
    n_left = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(n_left * p_values[order]), 1.0)
    return adjusted


def group_outcomes(
    groups: Sequence[GroupBounds], *, threshold: float, min_units: int
) -> tuple[Outcome, ...]:
    """Return what each group's bounds show about a threshold; small groups show nothing.

    ABOVE if the lower bound is at least the threshold, BELOW if the upper one is below it,
    otherwise UNDECIDED. A group of fewer than `min_units` independent units is UNDECIDED whatever
    its bounds: it is never left out, so that an every-slice claim cannot pass without it.

    Args:
        groups: the bounds of each.
        threshold: minus the margin, for non-inferiority.
        min_units: the fewest independent units that are heard, at least 1.

    Raises:
        ValueError: if `min_units` is below 1.
    """
    _check_min_units(min_units)
    return tuple(_outcome(group, threshold, min_units) for group in groups)


def _outcome(group: GroupBounds, threshold: float, min_units: int) -> Outcome:
    if group.n_units < min_units:
        return Outcome.UNDECIDED
    if group.low >= threshold:
        return Outcome.ABOVE
    return Outcome.BELOW if group.high < threshold else Outcome.UNDECIDED


def worst_group(groups: Sequence[GroupBounds], *, min_units: int) -> WorstGroup:
    """Bound the mean of the worst group from below, by the smallest of the groups' lower bounds.

    Uncorrected, it has the level of a single bound: let g be the group whose true mean is the
    smallest. The minimum is at most the bound of g, and that exceeds the mean of g with at most
    its own error. Which group is named as lowest is not certified. There is no such bound from
    above: that of the worst group needs the groups' upper bounds at 1 - alpha / n_groups each.

    Args:
        groups: the bounds of each, all at one confidence level.
        min_units: the fewest independent units that are heard, at least 1.

    Raises:
        ValueError: if there is no group, or `min_units` is below 1.
    """
    _check_min_units(min_units)
    if not groups:
        raise ValueError("at least one group is needed but got none")
    too_small = tuple(i for i, group in enumerate(groups) if group.n_units < min_units)
    heard = [i for i in range(len(groups)) if i not in too_small]
    lowest = min(heard, key=lambda i: groups[i].low, default=None)
    low = None if lowest is None else groups[lowest].low
    return WorstGroup(None if too_small else low, low, lowest, too_small)


def _check_min_units(min_units: int) -> None:
    if min_units < 1:
        raise ValueError(f"min_units must be at least 1 but got {min_units}")
