"""From per-query numbers and a policy to a verdict.

The unit of resampling is the class (or identity) of the query, the gallery is fixed, every query
is its own control (candidate minus baseline), and the confidence bound decides, never the point
estimate. All requirements must hold in all groups: an intersection-union test, so each is made at
the full level and none needs a correction for their number.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from registry.arrays import Float64Array, Int64Array, LabelArray
from registry.domain.certificates import Control, Criterion, Finding, Verdict
from registry.domain.conclusions import combine, decide
from registry.domain.policies import Policy, Requirement
from registry.errors import InvalidInputError

from .evaluation.ranking import RankingScores
from .stats.bounds import paired_difference_bounds


@dataclass(frozen=True, slots=True)
class PairedScores:
    """The same queries, scored twice.

    Attributes:
        baseline: old queries on old vectors.
        candidate: the pair that is to be certified.
        clusters: the independent unit of each query. Shape: (n_queries,).
        groups: rows of each group of queries.
    """

    baseline: RankingScores
    candidate: RankingScores
    clusters: LabelArray
    groups: Mapping[str, Int64Array]


def check_policy(policy: Policy) -> None:
    """Refuse a policy by which no bound can be computed.

    Raises:
        InvalidInputError: if it asks for too few resamples, or its seed is negative.
    """
    if policy.seed < 0:
        raise InvalidInputError(f"policy: seed must be at least 0 but got {policy.seed}")
    nothing = np.zeros(1)
    try:
        paired_difference_bounds(
            nothing,
            nothing,
            nothing,
            confidence_level=policy.confidence_level,
            n_resamples=policy.n_resamples,
            rng=np.random.default_rng(policy.seed),
        )
    except ValueError as error:
        raise InvalidInputError(f"policy: {error}") from error


def find(scores: PairedScores, policy: Policy) -> tuple[Finding, ...]:
    """Try every requirement on every group of queries."""
    return tuple(
        _finding(scores, policy, requirement, group)
        for requirement in policy.requirements
        for group in scores.groups
    )


def _finding(scores: PairedScores, policy: Policy, requirement: Requirement, group: str) -> Finding:
    rows = scores.groups[group]
    baseline = _metric(scores.baseline, requirement.metric)[rows]
    candidate = _metric(scores.candidate, requirement.metric)[rows]
    key = zlib.crc32(f"{requirement.metric}/{group}".encode())
    bounds = paired_difference_bounds(
        baseline,
        candidate,
        scores.clusters[rows],
        confidence_level=policy.confidence_level,
        n_resamples=policy.n_resamples,
        rng=np.random.default_rng([policy.seed, key]),
    )
    low, high = _steady(bounds.low), _steady(bounds.high)
    verdict = decide(low, high, criterion=requirement.criterion, margin=requirement.margin)
    return Finding(
        group=group,
        metric=requirement.metric,
        criterion=requirement.criterion,
        margin=requirement.margin,
        baseline=float(baseline.mean()),
        candidate=float(candidate.mean()),
        low=low,
        high=high,
        n_queries=bounds.n_queries,
        n_clusters=bounds.n_clusters,
        verdict=verdict,
    )


def _steady(bound: float) -> float:
    """Return a bound to twelve decimals: products of matrices round differently elsewhere."""
    return round(bound, 12) + 0.0  # which makes -0.0 the same as 0.0


def _metric(scores: RankingScores, name: str) -> Float64Array:
    return scores.metric(name)


def try_control(name: str, scores: PairedScores, policy: Policy, *, expected: Verdict) -> Control:
    """Run the gate on a planted candidate whose outcome is known beforehand."""
    findings = find(scores, policy)
    first = policy.requirements[0].metric
    return Control(
        name=name,
        expected=expected,
        found=combine([finding.verdict for finding in findings]),
        value=float(scores.candidate.metric(first).mean()),
    )


def lenient(policy: Policy, n_units: int) -> Policy:
    """Return the policy under which the old model itself must pass.

    No model is better than itself, so superiority becomes non-inferiority. The margin is at least
    what so few units can resolve at all: the lower bound of C differences of zero.

    Args:
        policy: the rules.
        n_units: independent units of the smallest group, at least 1.
    """
    margin = max(policy.control_margin, resolution(policy.confidence_level, n_units))
    requirements = tuple(
        Requirement(r.metric, Criterion.NON_INFERIORITY, max(r.margin, margin))
        for r in policy.requirements
    )
    return replace(policy, requirements=requirements)


def resolution(confidence_level: float, n_units: int) -> float:
    """Return the smallest drop that can be excluded with so many units that show no difference.

    It is 1 - (1 - confidence_level)^(1 / n_units), about 3 / n_units at 0.95 (the rule of three),
    and a tenth more for the resampling.
    """
    exact = -math.expm1(math.log1p(-confidence_level) / n_units)
    return min(1.1 * exact, 0.999)
