from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.certification import PairedScores, find
from compat.evaluation.ranking import RankingScores
from compat.matrix import ByMetric
from compat.sample_size import ASSUMED_GAIN, ASSUMED_SD, UnitsMissing, missing_units, plan_units
from compat.stats.planning import required_units
from registry.domain.certificates import Criterion, Verdict
from registry.domain.places import ON_OLD
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement

POLICY = Policy(n_resamples=400)
NON_INFERIORITY = Criterion.NON_INFERIORITY
N = 120
GROUPS = {"a": np.arange(80), "b": np.arange(80, N)}


def paired(candidate: Any, clusters: Any = None) -> PairedScores:
    def scores(value: Any) -> ByMetric:
        array = np.broadcast_to(np.asarray(value, float), (N,)).copy()
        return RankingScores(array, {1: array}, {}, np.ones(N, np.int64)).by_name

    units = np.arange(N) if clusters is None else clusters
    return PairedScores(scores(0.5), scores(candidate), units, GROUPS)


def test_a_plan_says_what_every_requirement_takes_and_what_there_is() -> None:
    better, no_worse = plan_units(POLICY, np.arange(N) // 2, GROUPS)
    assert (better.requirement, no_worse.requirement) == POLICY.requirements
    assert better.available == no_worse.available == {"a": 40, "b": 20}
    assert (better.difference, better.sd) == (ASSUMED_GAIN, ASSUMED_SD)
    assert no_worse.n_units == required_units(0.02, ASSUMED_SD).n_units
    assert no_worse.n_resolving == 149  # log(0.05) / log(0.98)
    assert 970 < no_worse.n_units < 1200  # the normal number is 966


def test_what_is_kept_needs_few_enough_losses() -> None:
    rules = replace(POLICY, requirements=(Requirement("kept@1", NON_INFERIORITY, 0.05),))
    (kept,) = plan_units(rules, np.arange(N), GROUPS)
    assert kept.difference == -0.025
    assert kept.sd == pytest.approx(np.sqrt(0.025 * 0.975))
    assert kept.n_units > kept.n_resolving


@pytest.mark.parametrize(
    ("metric", "margin", "difference", "sd"),
    [
        ("TRR@score=0.6", 0.02, 0.0, 0.02),
        ("TRR@score=0.6", 0.0, 0.01, 0.01),
        ("FAR<=2x@score=0.6", 0.02, 0.01, 0.02),
        ("FAR<=1.5x@score=0.6", 0.0, 0.005, 0.01),
        ("FAR<=1x@score=0.6", 0.0, 0.01, 0.01),
    ],
)
def test_false_accepts_are_rare_and_spread_little(
    metric: str, margin: float, difference: float, sd: float
) -> None:
    rules = (Requirement(metric, NON_INFERIORITY, margin),)
    (found,) = plan_units(replace(POLICY, requirements=rules), np.arange(N), GROUPS)
    assert found.difference == pytest.approx(difference)
    assert found.sd == sd
    assert found.n_units >= found.n_resolving
    assert found.n_resolving == required_units(margin, sd, difference=difference).by_resolution


@pytest.mark.parametrize("level", [0.9, 0.99])
def test_a_plan_follows_the_policy(level: float) -> None:
    found = plan_units(replace(POLICY, confidence_level=level), np.arange(N), GROUPS)
    base = plan_units(POLICY, np.arange(N), GROUPS)
    assert (found[1].n_units > base[1].n_units) is (level > 0.95)
    wide = replace(POLICY, requirements=(Requirement("mAP", NON_INFERIORITY, 0.9),), min_units=33)
    assert [n.n_units for n in plan_units(wide, np.arange(N), GROUPS)] == [33]


def missing(scores: PairedScores, policy: Policy = POLICY) -> tuple[UnitsMissing, ...]:
    return missing_units({ON_OLD: scores}, find(scores, policy), policy)


def test_an_inconclusive_finding_says_how_many_more_would_show_it() -> None:
    found = missing(paired(0.5))
    assert found == (
        UnitsMissing("a", "mAP", None),  # no gain was found, so more of it is none
        UnitsMissing("b", "mAP", None),
        UnitsMissing("a", "hit@1", found[2].n_further),
        UnitsMissing("b", "hit@1", found[3].n_further),
    )
    assert found[2].n_further is not None
    assert found[2].n_further + 80 == required_units(0.02, 0.0).n_units
    assert found[3].n_further == found[2].n_further + 40


def test_what_was_shown_or_refuted_misses_nothing() -> None:
    assert missing(paired(0.9)) == ()
    assert missing(paired(0.1)) == ()


def test_so_many_more_do_show_it() -> None:
    """With as many units as are asked for and the same spread the claim is usually shown."""
    rules = replace(POLICY, requirements=(Requirement("mAP", NON_INFERIORITY, 0.1),))
    rng = np.random.default_rng(0)
    few = paired(np.resize([0.2, 0.8], N))
    few = replace(few, groups={"all": np.arange(30)})
    (one,) = missing(few, rules)
    assert one.n_further is not None
    n_units = 30 + one.n_further
    shown = 0
    for _ in range(20):
        values = np.resize(rng.permutation(few.candidate["mAP"][:30]), n_units)
        scores = [
            RankingScores(v, {1: v}, {}, np.ones(n_units, np.int64))
            for v in (np.full(n_units, 0.5), rng.choice(values, n_units))
        ]
        again = PairedScores(
            scores[0].by_name, scores[1].by_name, np.arange(n_units), {"all": np.arange(n_units)}
        )
        shown += find(again, rules)[0].verdict is Verdict.COMPATIBLE
    assert shown >= 12


def test_units_that_are_missing_are_classes_and_not_queries() -> None:
    """Two queries of a class say no more than one if they agree."""
    clusters = np.arange(N) // 2
    values = np.repeat(np.random.default_rng(1).choice([0.45, 0.55], N // 2), 2)
    rules = replace(POLICY, requirements=(Requirement("hit@1", NON_INFERIORITY, 0.02),))
    (doubled, _) = missing(paired(values, clusters), rules)
    single = paired(values[::2].repeat(2))
    alone = replace(single, groups={"a": np.arange(0, 80, 2)})
    (one,) = missing(alone, rules)
    assert doubled.n_further == one.n_further


def test_a_group_that_is_too_small_misses_at_least_that_many() -> None:
    rules = replace(POLICY, min_units=500)
    found = missing(paired(0.9), rules)
    assert [m.n_further for m in found] == [420, 460, 420, 460]
