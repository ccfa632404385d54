"""What a policy asks of scores and thresholds: measured in every cell beside its rankings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from registry.arrays import Float32Array, Float64Array, Int64Array, LabelArray
from registry.domain.places import ON_OLD
from registry.domain.policies import Policy
from registry.domain.score_metrics import ScoreMetric, parse_score_metric
from registry.errors import InvalidInputError

from .evaluation.operating_points import OperatingPoints, measure_points
from .evaluation.ranking import RankingScores, Relevance

_SPLIT = 3  # place of the draw of halves in the policy's seeds
_ROUNDING = 1e-9  # of r (1 - a) - (1 - b), beyond its exact limit r


@dataclass(frozen=True, slots=True, eq=False)
class ScoreRules:
    """What is measured of scores.

    Attributes:
        metrics: each once.
        halves: 0 or 1 of each query; what is recalibrated on one half is used on the other.
            Shape: (n_queries,)
        with_curve: whether points of the ROC and DET curves are wanted.
    """

    metrics: tuple[ScoreMetric, ...]
    halves: Int64Array
    with_curve: bool

    def values(self, at: str) -> list[float]:
        """Return the different rates or scores of one kind of operating point."""
        return list(dict.fromkeys(metric.value for metric in self.metrics if metric.at == at))


def asked_scores(policy: Policy) -> tuple[ScoreMetric, ...]:
    """Return the metrics of scores that a policy requires."""
    found = (parse_score_metric(requirement.metric) for requirement in policy.requirements)
    return tuple(metric for metric in found if metric is not None)


def score_rules(policy: Policy, units: LabelArray, *, with_curve: bool = True) -> ScoreRules | None:
    """Return what a policy asks of scores, or None if it speaks of rankings only.

    Args:
        policy: the rules.
        units: the independent unit of each query. Shape: (n_queries,)
        with_curve: whether points of the curves are wanted too.
    """
    asked = asked_scores(policy)
    return ScoreRules(asked, split_units(units, policy.seed), with_curve) if asked else None


def split_units(units: LabelArray, seed: int) -> Int64Array:
    """Draw which half each query is in: units are drawn, and all queries of one go with it.

    Returns:
        0 or 1; both have as many units, or 0 one more. Shape: (n_queries,)
    """
    names, members = np.unique(units, return_inverse=True)
    order = np.random.default_rng([seed, _SPLIT]).permutation(len(names))
    half = np.zeros(len(names), dtype=np.int64)
    half[order[(len(names) + 1) // 2 :]] = 1
    return half[members]


def check_can_fail(policy: Policy) -> None:
    """Refuse requirements on old vectors that a model which matches nothing at all would meet.

    Controls are planted there, and such a model must fail.

    Raises:
        InvalidInputError: if there is no other requirement.
    """
    on_old = tuple(rule for rule in policy.requirements if rule.on == ON_OLD)
    asked = asked_scores(replace(policy, requirements=on_old))
    if len(asked) == len(on_old) and all(one.is_about_rejecting for one in asked):
        raise InvalidInputError(
            f"policy: {on_old[0].metric} alone is met by a model that finds nothing",
            hint="add what it must find, such as mAP, or TAR at the same score",
        )


def with_points(  # noqa: PLR0913 -- what was ranked, by which rules, and what is streamed
    ranked: RankingScores,
    rules: ScoreRules | None,
    queries: Float32Array,
    blocks: Sequence[Float32Array],
    relevance: Relevance,
    *,
    excluded: Int64Array,
    metric: Literal["inner_product", "l2"],
) -> RankingScores:
    """Add to rankings what is asked of scores; without rules nothing is measured."""
    if rules is None:
        return ranked
    points = measure_points(
        queries,
        blocks,
        relevance,
        rules.halves,
        false_match_rates=rules.values("FAR"),
        false_positive_rates=rules.values("FPIR"),
        deployed=rules.values("score"),
        with_curve=rules.with_curve,
        excluded=excluded,
        metric=metric,
    )
    more = {one.measured: _of(one, points) for one in rules.metrics}
    return replace(ranked, more={**ranked.more, **more}, points=points)


def _of(metric: ScoreMetric, points: OperatingPoints) -> Float64Array:
    """Return the per-query numbers behind a metric. Shape: (n_queries,)."""
    if metric.at == "FAR":
        return points.verified[metric.value].accepted
    if metric.at == "FPIR":
        return points.identified[metric.value].accepted
    deployed = points.deployed[metric.value]
    return deployed.rejected if metric.share == "TRR" else deployed.accepted


def ratio_asked(name: str) -> tuple[str, float] | None:
    """Return which metric's errors a ratio is of and the largest ratio, or None if it is none."""
    found = parse_score_metric(name)
    if found is None or found.max_ratio is None:
        return None
    return found.measured, found.max_ratio


def allowed_rejections(baseline: Float64Array, max_ratio: float) -> Float64Array:
    """Return the TRR that so many times the baseline's FAR would leave; below 0 where it is all.

    Candidate minus this is r FAR_old - FAR_new, in [-1, r], and its mean is at least 0 exactly if
    the mean FAR is at most r times that of the baseline: no ratio is bounded, so units of which
    the baseline never accepts an impostor do no harm.

    Args:
        baseline: TRR of each query. Shape: (n_queries,)
        max_ratio: r.
    """
    return 1.0 - max_ratio * (1.0 - baseline)


def largest_gain(name: str) -> float:
    """Return how much better than the baseline a query can possibly be, by a metric's name."""
    ratio = ratio_asked(name)
    return 1.0 if ratio is None else ratio[1] + _ROUNDING
