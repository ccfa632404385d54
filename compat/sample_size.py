"""How many independent units a policy needs: before measuring, and after it was inconclusive.

References:
    [1] docs/explanation/statistics.md: what the numbers assume, and how they were checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from registry.arrays import Int64Array, LabelArray
from registry.domain.certificates import Criterion, Finding, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import KEPT, Requirement
from registry.domain.score_metrics import parse_score_metric

from .certification import PairedScores, counted
from .stats.planning import binary_sd, further_units, required_units, unit_sd

POWER = 0.8
ASSUMED_SD = 0.25  # of a unit's difference in a ranking metric
ASSUMED_GAIN = 0.05  # where superiority is to be shown: nothing shows a gain of 0
ASSUMED_FAR = 0.01  # of the old version at a deployed threshold, and its spread


@dataclass(frozen=True, slots=True)
class UnitsNeeded:
    """What one requirement takes in every group, if what is assumed holds.

    Attributes:
        requirement: what has to be shown.
        n_units: independent units that show it with a probability of `POWER`.
        n_resolving: with fewer it cannot be shown, even if no unit differs from another.
        difference: the true difference that is assumed.
        sd: the assumed standard deviation of a unit's difference.
        available: units of each group of the probe set.
        power: the probability with which `n_units` show it.
    """

    requirement: Requirement
    n_units: int
    n_resolving: int
    difference: float
    sd: float
    available: Mapping[str, int]
    power: float = POWER


@dataclass(frozen=True, slots=True)
class UnitsMissing:
    """What an inconclusive finding takes, if the truth is what was found.

    Attributes:
        group: the finding's group.
        metric: its metric, and where it was measured.
        n_further: 0 or more units beside those that were measured with which it would be shown with
            a probability of `POWER`; None if more would not help, because the mean that was found
            is itself not what is required, or if its spread is unknown.
    """

    group: str
    metric: str
    n_further: int | None


def plan_units(
    policy: Policy, clusters: LabelArray, groups: Mapping[str, Int64Array]
) -> tuple[UnitsNeeded, ...]:
    """Return how many units each requirement takes, before anything is measured.

    Assumed is a standard deviation of `ASSUMED_SD` and no difference, or `ASSUMED_GAIN` where
    superiority is required; of what is to be kept, that half of the margin is lost; and of false
    accepts, which are rare, a rate of `ASSUMED_FAR` that stays as it is, and a standard deviation
    as large as the margin. Units count alike, so with ``average = "query"`` and unequal units it
    takes more.

    Args:
        policy: the rules.
        clusters: the independent unit of each query. Shape: (n_queries,)
        groups: rows of each group of queries.
    """
    available = {group: len(np.unique(clusters[rows])) for group, rows in groups.items()}
    return tuple(_needed(rule, policy, available) for rule in policy.requirements)


def _needed(rule: Requirement, policy: Policy, available: Mapping[str, int]) -> UnitsNeeded:
    difference, sd = _assumed(rule)
    found = required_units(
        rule.margin,
        sd,
        difference=difference,
        confidence_level=policy.confidence_level,
        power=POWER,
    )
    n_units = max(found.n_units, policy.min_units)
    resolving = max(found.by_resolution, policy.min_units)
    return UnitsNeeded(rule, n_units, resolving, difference, sd, available)


def _assumed(rule: Requirement) -> tuple[float, float]:
    """Return the difference and its standard deviation that are assumed of a requirement."""
    if rule.metric.startswith(KEPT) and rule.margin > 0:
        return -rule.margin / 2, binary_sd(rule.margin / 2, -rule.margin / 2)
    is_gain = rule.criterion is Criterion.SUPERIORITY or rule.margin == 0
    score = parse_score_metric(rule.metric)
    if score is not None and score.is_about_rejecting:
        allowed = ASSUMED_FAR * ((score.max_ratio or 1) - 1)  # of false accepts beyond today's
        if is_gain:
            return allowed or ASSUMED_FAR, ASSUMED_FAR
        return allowed, min(ASSUMED_SD, rule.margin)
    return (ASSUMED_GAIN, ASSUMED_SD) if is_gain else (0.0, ASSUMED_SD)


def missing_units(
    scores: Mapping[str, PairedScores], findings: tuple[Finding, ...], policy: Policy
) -> tuple[UnitsMissing, ...]:
    """Return for each inconclusive finding how many more units would show it.

    Args:
        scores: what was measured, by place.
        findings: what was found.
        policy: the rules.
    """
    return tuple(
        UnitsMissing(finding.group, finding.what, _further(scores[finding.on], finding, policy))
        for finding in findings
        if finding.verdict is Verdict.INCONCLUSIVE
    )


def _further(scores: PairedScores, finding: Finding, policy: Policy) -> int | None:
    rows = scores.groups[finding.group]
    baseline, candidate = (values[rows] for values in scores.metric(finding.metric))
    clusters = scores.clusters[rows]
    baseline, candidate, clusters = counted(baseline, candidate, clusters, policy)
    found = further_units(
        finding.difference,
        unit_sd(baseline, candidate, clusters),
        finding.n_clusters,
        margin=finding.margin,
        confidence_level=policy.confidence_level,
        power=POWER,
    )
    if found is None:
        return None
    return max(found, policy.min_units - finding.n_clusters)
