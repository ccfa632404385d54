from typing import Any

import pytest

from registry.domain.certificates import Criterion
from registry.domain.policies import Policy
from registry.domain.requirements import Requirement
from registry.errors import InvalidInputError


def test_a_policy_is_read_back_and_keeps_its_digest() -> None:
    policy = Policy(requirements=(Requirement("hit@5", Criterion.NON_INFERIORITY, 0.01),), seed=3)
    again = Policy.from_json(policy.to_json())
    assert again == policy
    assert again.digest == policy.digest
    assert policy.digest != Policy().digest


def test_missing_keys_take_their_defaults() -> None:
    assert Policy.from_json({}) == Policy()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"confidence": 0.9}, "unknown key 'confidence'"),
        ({"confidence_level": 0.3}, "confidence_level"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"requirements": []}, "at least one"),
        ({"requirements": [{"metric": "mAP"}]}, "criterion"),
        ({"requirements": [{"metric": "mAP", "criterion": "best"}]}, "best"),
        ({"requirements": [{"metric": "nDCG", "criterion": "superiority"}]}, "nDCG"),
        (
            {"requirements": [{"metric": "mAP", "criterion": "superiority", "margin": 0.1}]},
            "superiority has no margin",
        ),
        (
            {"requirements": [{"metric": "mAP", "criterion": "non-inferiority", "margin": 1.5}]},
            "margin must be in",
        ),
        ({"requirements": [{"metric": "mAP", "criterion": "superiority", "x": 1}]}, "'x'"),
        ({"valid_days": 0}, "valid_days"),
        ({"n_resamples": "many"}, "n_resamples"),
        ({"min_units": 0}, "min_units must be at least 1 but got 0"),
        ({"min_units": 2.5}, "min_units must be a number"),
        ({"max_leaked": 1.01}, "max_leaked must be in"),
        ({"max_leaked": -0.1}, "max_leaked must be in"),
        ({"max_leaked": "few"}, "max_leaked must be a number"),
        ({"near_duplicate": 0}, "near_duplicate in"),
        ({"near_duplicate": 1.5}, "near_duplicate in"),
        ({"near_duplicate": True}, "near_duplicate must be a number"),
        ({"requirements": [{"metric": "kept@1", "criterion": "superiority"}]}, "needs a margin"),
        (
            {"requirements": [{"metric": "kept@1", "criterion": "non-inferiority"}]},
            "needs a margin",
        ),
    ],
)
def test_what_breaks_a_rule_is_refused(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Policy.from_json(given)


@pytest.mark.parametrize(
    "metric", ["mAP", "MRR", "mAP@R", "hit@1", "recall@20", "nDCG@10", "kept@1"]
)
def test_metrics_that_can_be_required(metric: str) -> None:
    assert Requirement(metric, Criterion.NON_INFERIORITY, 0.1).metric == metric


@pytest.mark.parametrize(
    "metric", ["mAP@10", "MRR@10", "nDCG", "nDCG@0", "ndcg@10", "hit@R", "kept", ""]
)
def test_metrics_that_nobody_measures(metric: str) -> None:
    with pytest.raises(InvalidInputError, match="no metric is named") as refused:
        Requirement(metric, Criterion.SUPERIORITY)
    known = "known: mAP, mAP@R, MRR, hit@k, recall@k, nDCG@k, kept@k, index-recall@k, TAR@FAR=f, "
    assert str(refused.value.hint).startswith(known)


BEFORE: dict[str, Any] = {
    "requirements": [
        {"metric": "mAP", "criterion": "superiority", "margin": 0.0},
        {"metric": "hit@1", "criterion": "non-inferiority", "margin": 0.02},
    ],
    "confidence_level": 0.95,
    "n_resamples": 20_000,
    "control_margin": 0.02,
    "valid_days": 90,
    "growth": 1.1,
    "seed": 0,
    "unit": "class",
}


def test_a_policy_that_was_recorded_before_keeps_its_digest_and_its_bound() -> None:
    digest = "0a3bbd368c76afd5b269e7e3d1fbd30912b040f8bc79609c5e8f1230a92dbc2a"
    recorded = Policy.recorded(BEFORE)
    assert recorded.digest == digest
    assert recorded.to_json() == BEFORE
    assert recorded.average == "ratio"
    assert recorded.min_units == 1
    assert recorded.max_leaked == 1  # nobody looked
    assert Policy.from_json(BEFORE) == Policy()
    assert Policy().digest != digest


def test_a_recorded_policy_is_read_back() -> None:
    for policy in (
        Policy(),
        Policy(average="query", largest_unit=7, min_units=1),
        Policy.recorded(BEFORE),
    ):
        assert Policy.recorded(policy.to_json()) == policy


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"average": "class"}, "average must be 'unit' or 'query' but got 'class'"),
        ({"average": "query"}, "average = 'query' needs largest_unit"),
        ({"average": "query", "largest_unit": 0}, "largest_unit must be at least 1"),
        ({"average": "query", "largest_unit": True}, "largest_unit must be a number"),
        ({"largest_unit": 5}, "goes with average = 'query'"),
        ({"average": "query", "unit": "query", "largest_unit": 5}, "goes with average = 'query'"),
    ],
)
def test_what_counts_once_is_checked(given: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Policy.from_json(given)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"on": "new"}, "on must be 'old', 'served' or 'mixed' but got 'new'"),
        ({"on": "served"}, "mAP needs the whole ranking, which an index does not give"),
        ({"metric": "index-recall@10"}, "index-recall@10 is of the gallery's own index"),
        ({"metric": "index-recall@10", "on": "mixed"}, "is of the gallery's own index"),
        ({"where": "served"}, "requirement: unknown key 'where'"),
    ],
)
def test_a_requirement_in_a_place_that_it_cannot_have(rule: Any, says: str) -> None:
    given = {"metric": "mAP", "criterion": "superiority"} | rule
    with pytest.raises(InvalidInputError, match=says):
        Policy.from_json({"requirements": [given]})


def test_something_must_be_required_on_the_old_vectors() -> None:
    rule = {"metric": "mAP", "criterion": "superiority", "on": "mixed"}
    with pytest.raises(InvalidInputError, match="at least one requirement on the old vectors"):
        Policy.from_json({"requirements": [rule]})
    assert Policy.from_json({"requirements": [{**rule, "on": "old"}, rule]}).asks("mixed")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mixed": [0.5, 0.25]}, "ascending whole percents"),
        ({"mixed": [0.125]}, "ascending whole percents"),
        ({"mixed": []}, "ascending whole percents"),
        ({"mixed": [0.0, 0.5]}, "between 0 and 1"),
        ({"mixed": [0.5, 1.0]}, "between 0 and 1"),
        ({"mixed": 0.5}, "mixed must be a list of numbers such as 0.25 but got 0.5"),
        ({"groups": "all"}, "groups must be a list of names but got 'all'"),
        ({"groups": []}, "groups must name at least one"),
        ({"bound": "t"}, "bound must be 'gaffke' or 'bca' but got 't'"),
        ({"attempts": "never"}, "attempts must be one of until-passed, by-verdict, uncounted"),
        ({"planned_attempts": 0}, "planned_attempts must be at least 1"),
        ({"planned_attempts": 2.5}, "planned_attempts must be a number"),
        ({"attempts": "uncounted", "planned_attempts": 2}, "planned_attempts has no meaning"),
    ],
)
def test_wrong_places_groups_bounds_and_attempts(given: Any, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        Policy.from_json(given)


def test_a_policy_with_everything_is_read_back() -> None:
    rule = {"metric": "hit@3", "criterion": "superiority", "margin": 0.0, "on": "served"}
    usual = [r.to_json() for r in Policy().requirements]
    given = {
        "requirements": [*usual, rule],
        "groups": ["all", "a"],
        "mixed": [0.1, 0.9],
        "bound": "bca",
        "attempts": "by-verdict",
        "planned_attempts": 3,
    }
    policy = Policy.from_json(given)
    assert Policy.recorded(policy.to_json()) == policy
    assert policy.to_json().items() >= given.items()
