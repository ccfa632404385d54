from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.certification import (
    PairedScores,
    check_policy,
    fewest_units,
    find,
    lenient,
    resolution,
    try_control,
)
from compat.evaluation.ranking import RankingScores
from compat.matrix import ByMetric
from registry.domain.certificates import Control, Criterion, Finding, Verdict
from registry.domain.conclusions import conclude
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError

POLICY = Policy(n_resamples=400)
N = 300


def scores(value: Any) -> ByMetric:
    """Scores of which every metric is the same."""
    array = np.broadcast_to(np.asarray(value, float), (N,)).copy()
    return RankingScores(array, {1: array}, {}, np.ones(N, np.int64)).by_name


def paired(baseline: Any, candidate: Any, groups: Any = None) -> PairedScores:
    rows = groups or {"all": np.arange(N)}
    return PairedScores(scores(baseline), scores(candidate), np.arange(N), rows)


def finding(verdict: Verdict) -> Finding:
    return Finding("all", "mAP", Criterion.SUPERIORITY, 0, 0.5, 0.6, 0.0, 0.1, 10, 5, verdict)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (0.7, (Verdict.COMPATIBLE, Verdict.COMPATIBLE)),
        (0.5, (Verdict.INCONCLUSIVE, Verdict.COMPATIBLE)),
        (0.3, (Verdict.INCOMPATIBLE, Verdict.INCOMPATIBLE)),
    ],
)
def test_every_requirement_is_tried_in_every_group(
    candidate: float, expected: tuple[Verdict, Verdict]
) -> None:
    rows = {"a": np.arange(0, N, 2), "b": np.arange(1, N, 2)}
    rules = replace(
        POLICY,
        requirements=(
            Requirement("mAP", Criterion.SUPERIORITY),
            Requirement("hit@1", Criterion.NON_INFERIORITY, 0.05),
        ),
    )
    found = find(paired(0.5, candidate, rows), rules)
    assert [(f.metric, f.group) for f in found] == [
        ("mAP", "a"),
        ("mAP", "b"),
        ("hit@1", "a"),
        ("hit@1", "b"),
    ]
    assert [f.verdict for f in found] == [expected[0]] * 2 + [expected[1]] * 2
    assert all(f.low <= f.difference <= f.high for f in found)
    assert all(f.n_queries == f.n_clusters == N // 2 for f in found)


def test_findings_do_not_depend_on_the_order_of_the_groups() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(N)
    rows = {"a": np.arange(0, N, 2), "b": np.arange(1, N, 2)}
    one = find(paired(0.5, values, rows), POLICY)
    other = find(paired(0.5, values, dict(reversed(rows.items()))), POLICY)
    assert set(one) == set(other)


KEPT = replace(POLICY, requirements=(Requirement("kept@1", Criterion.NON_INFERIORITY, 0.05),))


@pytest.mark.parametrize(
    ("n_lost", "expected"),
    [(2, Verdict.COMPATIBLE), (12, Verdict.INCONCLUSIVE), (60, Verdict.INCOMPATIBLE)],
)
def test_queries_that_were_right_are_kept(n_lost: int, expected: Verdict) -> None:
    """Ten gains do not make up for a loss, as they do in hit@1."""
    was_right = np.arange(N) < N // 2
    is_right = (np.arange(N) >= n_lost) & (np.arange(N) < N // 2 + 10 * n_lost)
    (found,) = find(paired(was_right, is_right), KEPT)
    assert found.baseline == 1
    assert found.candidate == pytest.approx(1 - n_lost / N)
    assert found.high <= 0
    assert found.verdict is expected


def test_a_kept_share_is_bounded_by_clopper_and_pearson() -> None:
    rules = replace(KEPT, n_resamples=100_000)
    (found,) = find(paired(1.0, np.arange(N) >= 6), rules)
    assert found.low == pytest.approx(-0.03909, abs=5e-4)  # scipy.stats.beta.ppf(0.95, 7, 294)


def test_a_group_of_too_few_units_is_undecided_and_not_dropped() -> None:
    rows = {"large": np.arange(20, N), "small": np.arange(9)}
    for candidate in (1.0, 0.0):
        small, large = (
            [f for f in find(paired(0.5, candidate, rows), POLICY) if f.group == group]
            for group in ("small", "large")
        )
        assert [f.verdict for f in small] == [Verdict.INCONCLUSIVE] * 2
        assert [f.n_clusters for f in small] == [9, 9]
        assert Verdict.INCONCLUSIVE not in [f.verdict for f in large]
    enough = find(paired(0.5, 0.0, rows), replace(POLICY, min_units=9))
    assert {f.verdict for f in enough} == {Verdict.INCOMPATIBLE}


# 29 classes of one query that lose nothing, and one of 271 that loses all
UNEQUAL = np.minimum(np.arange(N), 29)
LOSING = np.where(UNEQUAL == 29, 0.0, 1.0)
LARGE = PairedScores(scores(1.0), scores(LOSING), UNEQUAL, {"all": np.arange(N)})


def test_each_class_counts_once() -> None:
    found = find(LARGE, replace(POLICY, n_resamples=4000))[1]
    assert (found.n_queries, found.n_clusters) == (N, 30)
    assert found.baseline == 1.0
    assert found.candidate == pytest.approx(29 / 30)
    one_in_30 = PairedScores(
        scores(1.0), scores(np.arange(N) % 30 != 0), np.arange(N) % 30, LARGE.groups
    )
    same = find(one_in_30, replace(POLICY, n_resamples=4000))[1]
    assert (found.low, found.high) == (same.low, same.high)  # nothing but the means of classes
    assert found.low == pytest.approx(-0.1486, abs=0.01)  # Clopper and Pearson, 1 of 30


def test_each_query_counts_once_if_the_policy_says_how_large_a_class_may_be() -> None:
    found = find(LARGE, replace(POLICY, average="query", largest_unit=271))[1]
    assert found.candidate == pytest.approx(29 / N)
    assert found.low < found.difference < found.high
    with pytest.raises(InvalidInputError, match=r"largest_unit is 270, but a class of .* has 271"):
        find(LARGE, replace(POLICY, average="query", largest_unit=270))


def test_unseen_large_classes_are_not_forgotten() -> None:
    """What the bound before ADR 10 did: 30 small classes without a loss excluded a drop of 10 %."""
    seen = PairedScores(scores(1.0), scores(1.0), np.arange(N) % 30, {"all": np.arange(N)})
    low = {
        "ratio": find(seen, replace(POLICY, average="ratio"))[1].low,
        "query": find(seen, replace(POLICY, average="query", largest_unit=300))[1].low,
    }
    assert low["ratio"] > -0.15
    assert low["query"] < -0.5


def test_classes_of_one_size_give_the_numbers_that_they_gave_before() -> None:
    values = np.random.default_rng(0).random(N)
    same = PairedScores(scores(0.5), scores(values), np.arange(N) % 60, {"all": np.arange(N)})
    now, before = (find(same, replace(POLICY, average=a))[0] for a in ("unit", "ratio"))
    for name in ("baseline", "candidate", "low", "high"):
        assert getattr(now, name) == pytest.approx(getattr(before, name), abs=1e-12)
    assert same.is_balanced
    assert not LARGE.is_balanced


def test_the_old_model_passes_where_every_query_counts_once() -> None:
    rules = replace(POLICY, n_resamples=2000, average="query", largest_unit=40)
    clusters = np.repeat(np.arange(24), np.tile([1, 4, 5, 40], 6))
    same = PairedScores(scores(0.5), scores(0.5), clusters, {"all": np.arange(N)})
    easy = lenient(rules, fewest_units(same, rules))
    assert fewest_units(same, rules) == 7.5
    assert try_control("old model", same, easy, expected=Verdict.COMPATIBLE).is_passed


@pytest.mark.parametrize("n_units", [3, 20, 300])
@pytest.mark.parametrize("confidence_level", [0.9, 0.95, 0.99])
def test_the_old_model_passes_whatever_the_number_of_units(
    n_units: int, confidence_level: float
) -> None:
    """The lenient margin is what so few units can show at all: no difference must pass."""
    rules = replace(POLICY, n_resamples=2000, confidence_level=confidence_level)
    same = PairedScores(scores(0.5), scores(0.5), np.arange(N) % n_units, {"all": np.arange(N)})
    control = try_control("old model", same, lenient(rules, n_units), expected=Verdict.COMPATIBLE)
    assert control.is_passed
    assert control.value == pytest.approx(0.5)


def test_a_lenient_policy_asks_for_no_superiority_and_no_smaller_margin() -> None:
    rules = lenient(POLICY, 10_000)
    assert all(r.criterion is Criterion.NON_INFERIORITY for r in rules.requirements)
    assert [r.margin for r in rules.requirements] == [0.02, 0.02]
    wide = replace(POLICY, requirements=(Requirement("mAP", Criterion.NON_INFERIORITY, 0.3),))
    assert lenient(wide, 10_000).requirements[0].margin == 0.3
    assert lenient(POLICY, 1).requirements[0].margin < 1


def test_the_resolution_is_the_rule_of_three() -> None:
    assert resolution(0.95, 1000) / 1.1 == pytest.approx(3 / 1000, rel=0.01)
    assert resolution(0.95, 1) == pytest.approx(0.999)


@pytest.mark.parametrize(
    ("verdicts", "is_passed", "expected"),
    [
        ([Verdict.COMPATIBLE, Verdict.COMPATIBLE], True, Verdict.COMPATIBLE),
        ([Verdict.COMPATIBLE, Verdict.INCOMPATIBLE], True, Verdict.INCOMPATIBLE),
        ([Verdict.COMPATIBLE, Verdict.INCONCLUSIVE], True, Verdict.INCONCLUSIVE),
        ([Verdict.COMPATIBLE, Verdict.COMPATIBLE], False, Verdict.INCONCLUSIVE),
        ([Verdict.INCOMPATIBLE, Verdict.COMPATIBLE], False, Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_that_of_the_findings_if_the_controls_behaved(
    verdicts: list[Verdict], is_passed: bool, expected: Verdict
) -> None:
    found = Verdict.INCOMPATIBLE if is_passed else Verdict.COMPATIBLE
    controls = (
        Control("old model", Verdict.COMPATIBLE, Verdict.COMPATIBLE, 0.5),
        Control("random model", Verdict.INCOMPATIBLE, found, 0.01),
    )
    assert conclude(tuple(map(finding, verdicts)), controls) is expected


def test_a_control_is_the_whole_gate() -> None:
    half = paired(
        0.5,
        np.where(np.arange(N) < N // 2, 0.0, 1.0),
        {
            "good": np.arange(N // 2, N),
            "bad": np.arange(N // 2),
        },
    )
    control = try_control("mixed", half, POLICY, expected=Verdict.INCOMPATIBLE)
    assert control.found is Verdict.INCOMPATIBLE
    assert control.value == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_resamples": 150}, "n_resamples must be at least 200"),
        ({"n_resamples": 900, "confidence_level": 0.99}, "n_resamples must be at least 1000"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"average": "ratio"}, "does not hold for classes of unequal size"),
    ],
)
def test_policies_by_which_nothing_can_be_bounded(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        check_policy(replace(POLICY, **change))
    check_policy(POLICY)
