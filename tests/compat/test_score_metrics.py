from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.certification import PairedScores, check_policy, find
from compat.evaluation.ranking import RankingScores
from compat.score_metrics import allowed_rejections, largest_gain, score_rules, split_units
from registry.domain.certificates import Criterion, Verdict
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError

RATIO = "FAR<=1.5x@score=0.6"
RULE = Requirement(RATIO, Criterion.NON_INFERIORITY)
POLICY = Policy((Requirement("mAP", Criterion.SUPERIORITY), RULE), n_resamples=400)


def scores(rejected: Any) -> RankingScores:
    numbers = np.asarray(rejected, np.float64)
    zero = np.zeros(len(numbers))
    return RankingScores(zero, {}, {}, np.ones(len(zero), int), more={"TRR@score=0.6": numbers})


def finding(old: Any, new: Any, policy: Policy = POLICY) -> Any:
    clusters = np.arange(len(old))
    paired = PairedScores(scores(old).by_name, scores(new).by_name, clusters, {"all": clusters})
    return find(paired, policy)[1]


def test_units_are_split_into_two_halves_by_the_seed() -> None:
    units = np.repeat(np.array(["a", "b", "c", "d", "e"]), [1, 5, 2, 7, 3])
    halves = split_units(units, 0)
    by_unit = [set(halves[units == unit].tolist()) for unit in "abcde"]
    assert all(len(half) == 1 for half in by_unit)  # a unit is in one half
    assert sum(half.pop() for half in by_unit) == 2  # of five units two are in the second
    assert np.array_equal(halves, split_units(units, 0))
    assert any(not np.array_equal(halves, split_units(units, seed)) for seed in range(1, 9))
    order = np.random.default_rng(1).permutation(len(units))
    assert np.array_equal(split_units(units[order], 0), halves[order])


def test_a_policy_on_rankings_asks_nothing_of_scores() -> None:
    assert score_rules(Policy(), np.arange(9)) is None
    rules = score_rules(POLICY, np.arange(9))
    assert rules is not None
    assert (rules.values("score"), rules.values("FAR")) == ([0.6], [])


def test_a_ratio_is_held_against_what_it_allows() -> None:
    found = finding(old=np.full(500, 0.9), new=np.full(500, 0.86))  # FAR 0.10, then 0.14
    assert found.baseline == pytest.approx(1 - 1.5 * 0.10)
    assert found.candidate == pytest.approx(0.86)
    assert found.difference == pytest.approx(1.5 * 0.10 - 0.14)
    assert found.verdict is Verdict.COMPATIBLE
    worse = finding(old=np.full(500, 0.9), new=np.full(500, 0.84))  # FAR 0.16 > 0.15
    assert worse.difference < 0
    assert worse.verdict is Verdict.INCOMPATIBLE


def test_a_ratio_of_nothing_is_shown_by_nobody() -> None:
    """If no impostor was ever accepted, no sample shows that hardly more are."""
    found = finding(np.ones(100), np.ones(100))
    assert (found.difference, found.verdict) == (0, Verdict.INCONCLUSIVE)
    forgiving = replace(POLICY, requirements=(POLICY.requirements[0], replace(RULE, margin=0.05)))
    assert finding(np.ones(100), np.ones(100), forgiving).verdict is Verdict.COMPATIBLE


def test_the_worst_that_can_be_seen_is_within_the_limits() -> None:
    for ratio in (1.0, 1.1, 1.5, 3.7):
        old = np.linspace(0, 1, 11)
        for new in (np.zeros(11), np.ones(11)):
            differences = new - allowed_rejections(old, ratio)
            assert differences.min() >= -1
            assert differences.max() <= largest_gain(f"FAR<={ratio}x@score=0.6")
    assert largest_gain("TAR@score=0.6") == largest_gain("mAP") == 1


@pytest.mark.parametrize(("n_units", "old_rate"), [(40, 0.3), (150, 0.1)])
def test_a_ratio_that_is_just_too_large_is_rarely_certified(n_units: int, old_rate: float) -> None:
    """FAR_new is 1.5 FAR_old to the last digit, in the way that is hardest to see: rare disasters.

    At most alpha may be certified; 99.9 % of 500 tries of a fair gate stay below 0.05 + 0.03.
    """
    rng, policy = np.random.default_rng(3), replace(POLICY, n_resamples=200)
    old = np.full(n_units, 1 - old_rate)
    tries = 500
    new = (rng.random((tries, n_units)) >= 1.5 * old_rate).astype(np.float64)
    passed = sum(finding(old, row, policy).verdict is Verdict.COMPATIBLE for row in new)
    assert passed / tries <= 0.08
    better = (rng.random((20, n_units)) >= 0.2 * old_rate).astype(np.float64)
    shown = [finding(old, row, policy).verdict is Verdict.COMPATIBLE for row in better]
    assert np.mean(shown) > 0.5  # and the gate is not idle


@pytest.mark.parametrize("metrics", [["TRR@score=0.6"], [RATIO, "TRR@score=0.5"]])
def test_what_a_model_that_finds_nothing_would_meet_is_no_policy(metrics: list[str]) -> None:
    rules = tuple(Requirement(m, Criterion.NON_INFERIORITY, 0.01) for m in metrics)
    with pytest.raises(InvalidInputError, match="is met by a model that finds nothing"):
        check_policy(Policy(rules))
    check_policy(Policy((*rules, Requirement("TAR@score=0.6", Criterion.NON_INFERIORITY, 0.1))))
