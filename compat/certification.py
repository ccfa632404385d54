"""From per-query numbers and a policy to a verdict.

The unit of resampling is the class (or identity) of the query, and each counts once unless the
policy says otherwise (ADR 10). The gallery is fixed, every query is its own control (candidate
minus baseline), and the confidence bound decides, never the point estimate. All requirements must
hold in all groups: an intersection-union test, so each is made at the full level and none needs a
correction for their number.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from registry.arrays import Float64Array, Int64Array, LabelArray
from registry.domain.certificates import Control, Criterion, Finding, Verdict
from registry.domain.conclusions import combine, decide_finding
from registry.domain.places import ON_OLD
from registry.domain.policies import BCA, Policy
from registry.domain.requirements import KEPT, Requirement
from registry.errors import InvalidInputError

from .evaluation.flips import find_flips
from .matrix import ByMetric
from .probes import Labels
from .score_metrics import allowed_rejections, check_can_fail, largest_gain, ratio_asked
from .stats.bootstrap import BootstrapBounds, bca_difference_bounds
from .stats.bounds import DifferenceBounds, paired_difference_bounds
from .stats.clusters import cluster_means


@dataclass(frozen=True, slots=True)
class PairedScores:
    """The same queries, scored twice.

    Attributes:
        baseline: numbers of each query by metric, of old queries on old vectors.
        candidate: the same of the pair that is to be certified.
        clusters: the independent unit of each query. Shape: (n_queries,).
        groups: rows of each group of queries.
    """

    baseline: ByMetric
    candidate: ByMetric
    clusters: LabelArray
    groups: Mapping[str, Int64Array]

    def metric(self, name: str) -> tuple[Float64Array, Float64Array]:
        """Return a metric of each query, of the baseline and of the candidate.

        ``kept@k`` is 1, less the chance that the query was right among the first k and no longer
        is: the baseline keeps all of its own. With ``FAR<=rx@score=t`` the baseline is the TRR that
        r times its FAR would leave.

        Raises:
            ValueError: if it was not measured.
        """
        if (ratio := ratio_asked(name)) is not None:
            rejected, largest = ratio
            allowed = allowed_rejections(_named(self.baseline, rejected), largest)
            return allowed, _named(self.candidate, rejected)
        if not name.startswith(KEPT):
            return _named(self.baseline, name), _named(self.candidate, name)
        hit = f"hit@{name.removeprefix(KEPT)}"
        flips = find_flips(_named(self.baseline, hit), _named(self.candidate, hit))
        return np.ones_like(flips.negative), 1 - flips.negative

    @property
    def is_balanced(self) -> bool:
        """Whether the units of each group have as many queries each."""
        parts = (self.clusters[rows] for rows in self.groups.values())
        return all(len(set(np.unique(p, return_counts=True)[1].tolist())) == 1 for p in parts)


def _named(by_metric: ByMetric, name: str) -> Float64Array:
    if name not in by_metric:
        raise ValueError(f"no metric is named {name!r}; known: {', '.join(by_metric)}")
    return by_metric[name]


def chosen_groups(asked: Labels, policy: Policy) -> Mapping[str, Int64Array]:
    """Return the rows of the groups in which every claim must hold.

    Raises:
        InvalidInputError: if the policy names a group that no query belongs to.
    """
    if policy.groups is None:
        return asked.by_group
    known = asked.reported
    missing = [name for name in policy.groups if name not in known]
    if missing:
        raise InvalidInputError(
            f"policy: no query belongs to group {missing[0]!r}; the probe set has "
            + ", ".join(repr(name) for name in known),
            hint="give every query its group, in the labels' column 'group'",
        )
    return {name: known[name] for name in policy.groups}


def check_policy(policy: Policy) -> None:
    """Refuse a policy by which no bound can be computed.

    Raises:
        InvalidInputError: if it asks for too few resamples, its seed is negative, its bound is
            that of older certificates, or a model that finds nothing would meet it.
    """
    if policy.average == "ratio":
        raise InvalidInputError(
            "policy: average = 'ratio' does not hold for classes of unequal size",
            hint="it is that of certificates before ADR 10: take 'unit', or 'query'",
        )
    if policy.seed < 0:
        raise InvalidInputError(f"policy: seed must be at least 0 but got {policy.seed}")
    check_can_fail(policy)
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


def find(scores: PairedScores, policy: Policy, on: str = ON_OLD) -> tuple[Finding, ...]:
    """Try every requirement of one place on every group of queries.

    Args:
        scores: what was measured there.
        policy: the rules.
        on: the place, as `Policy.places` names it.
    """
    return tuple(
        _finding(scores, policy, requirement, group, on)
        for requirement in policy.requirements
        if on in policy.places(requirement, is_way_back=False)
        for group in scores.groups
    )


def _finding(
    scores: PairedScores, policy: Policy, requirement: Requirement, group: str, on: str
) -> Finding:
    rows = scores.groups[group]
    baseline, candidate = (values[rows] for values in scores.metric(requirement.metric))
    clusters = scores.clusters[rows]
    name = f"{requirement.metric}/{group}" + ("" if on == ON_OLD else f"/{on}")
    rng = np.random.default_rng([policy.seed, zlib.crc32(name.encode())])
    gain = 0.0 if requirement.metric.startswith(KEPT) else largest_gain(requirement.metric)
    bounds = _bound(baseline, candidate, clusters, policy, rng, limits=(-1.0, gain))
    finding = Finding(
        group=group,
        metric=requirement.metric,
        criterion=requirement.criterion,
        margin=requirement.margin,
        baseline=_mean(baseline, clusters, policy),
        candidate=_mean(candidate, clusters, policy),
        low=_steady(bounds.low),
        high=_steady(bounds.high),
        n_queries=len(rows),
        n_clusters=bounds.n_clusters,
        verdict=Verdict.INCONCLUSIVE,
        on=on,
    )
    return replace(finding, verdict=decide_finding(finding, policy.min_units))


def counted(
    baseline: Float64Array, candidate: Float64Array, clusters: LabelArray, policy: Policy
) -> tuple[Float64Array, Float64Array, LabelArray]:
    """Return both numbers and the unit of what counts once: every query, or every unit.

    Of a unit it is the mean difference, as the candidate's number, with 0 as the baseline's.
    """
    if policy.average != "unit":
        return baseline, candidate, clusters
    means = cluster_means(candidate - baseline, clusters)
    return np.zeros(len(means)), means, np.arange(len(means))


def _bound(
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    policy: Policy,
    rng: np.random.Generator,
    *,
    limits: tuple[float, float],
) -> DifferenceBounds | BootstrapBounds:
    """Bound the mean difference over what the policy lets count once."""
    baseline, candidate, clusters = counted(baseline, candidate, clusters, policy)
    largest = policy.largest_unit
    if largest is not None and (seen := _largest(clusters)) > largest:
        raise InvalidInputError(
            f"policy: largest_unit is {largest}, but a class of this probe set has {seen} queries",
            hint="give the most that any class can have",
        )
    level, n_resamples = policy.confidence_level, policy.n_resamples
    if policy.bound == BCA:
        return bca_difference_bounds(
            baseline,
            candidate,
            clusters,
            confidence_level=level,
            limits=limits,
            n_resamples=n_resamples,
            rng=rng,
        )
    return paired_difference_bounds(
        baseline,
        candidate,
        clusters,
        confidence_level=level,
        limits=limits,
        largest_cluster=largest,
        n_resamples=n_resamples,
        rng=rng,
    )


def _largest(clusters: LabelArray) -> int:
    return int(np.unique(clusters, return_counts=True)[1].max())


def _mean(values: Float64Array, clusters: LabelArray, policy: Policy) -> float:
    counted = cluster_means(values, clusters) if policy.average == "unit" else values
    return float(counted.mean())


def _steady(bound: float) -> float:
    """Return a bound to twelve decimals: products of matrices round differently elsewhere."""
    return round(bound, 12) + 0.0  # which makes -0.0 the same as 0.0


def try_control(name: str, scores: PairedScores, policy: Policy, *, expected: Verdict) -> Control:
    """Run the gate on a planted candidate whose outcome is known beforehand.

    Groups of fewer units than the policy asks for are decided too: the gate is what is tried.
    """
    findings = find(scores, replace(policy, min_units=1))
    _, first = scores.metric(findings[0].metric)
    return Control(
        name=name,
        expected=expected,
        found=combine([finding.verdict for finding in findings]),
        value=float(first.mean()),
    )


def fewest_units(scores: PairedScores, policy: Policy) -> float:
    """Return how many units of full weight the smallest group has.

    Where queries count once and units may have up to N of them, n queries resolve at least what
    n / N units of full size would: with shares a of N, prod 1 / (1 + a s) <= (1 + s)^(-sum a).
    """
    groups = scores.groups.values()
    if policy.largest_unit is not None:
        return min(len(rows) for rows in groups) / policy.largest_unit
    return min(len(np.unique(scores.clusters[rows])) for rows in groups)


def lenient(policy: Policy, n_units: float) -> Policy:
    """Return the policy under which the old model itself must pass.

    No model is better than itself, so superiority becomes non-inferiority. The margin is at least
    what so few units can resolve at all: the lower bound of C differences of zero.

    Args:
        policy: the rules.
        n_units: independent units of the smallest group.
    """
    margin = max(policy.control_margin, resolution(policy.confidence_level, n_units))
    requirements = tuple(
        replace(r, criterion=Criterion.NON_INFERIORITY, margin=max(r.margin, margin))
        for r in policy.requirements
    )
    return replace(policy, requirements=requirements)


def resolution(confidence_level: float, n_units: float) -> float:
    """Return the smallest drop that can be excluded with so many units that show no difference.

    It is 1 - (1 - confidence_level)^(1 / n_units), about 3 / n_units at 0.95 (the rule of three),
    and a tenth more for the resampling.
    """
    exact = -math.expm1(math.log1p(-confidence_level) / n_units)
    return min(1.1 * exact, 0.999)
