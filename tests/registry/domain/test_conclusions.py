from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.domain.canonical import Json
from registry.domain.certificates import Certificate, Control, Criterion, Verdict
from registry.domain.conclusions import check_conclusion, combine, decide
from registry.domain.policies import Policy
from registry.errors import InvalidInputError
from tests.registry.domain.certificates import certificate

COMPATIBLE, INCOMPATIBLE, INCONCLUSIVE = (
    Verdict.COMPATIBLE,
    Verdict.INCOMPATIBLE,
    Verdict.INCONCLUSIVE,
)
SUPERIORITY, NON_INFERIORITY = Criterion.SUPERIORITY, Criterion.NON_INFERIORITY


@pytest.mark.parametrize(
    ("low", "high", "criterion", "margin", "verdict"),
    [
        (0.01, 0.03, SUPERIORITY, 0.0, COMPATIBLE),
        (0.0, 0.03, SUPERIORITY, 0.0, INCONCLUSIVE),  # strictly better
        (-0.01, 0.03, SUPERIORITY, 0.0, INCONCLUSIVE),
        (-0.03, 0.0, SUPERIORITY, 0.0, INCOMPATIBLE),
        (-0.03, -0.01, SUPERIORITY, 0.0, INCOMPATIBLE),
        (-0.01, 0.03, NON_INFERIORITY, 0.02, COMPATIBLE),
        (-0.02, 0.03, NON_INFERIORITY, 0.02, COMPATIBLE),  # not worse by more than the margin
        (-0.03, 0.03, NON_INFERIORITY, 0.02, INCONCLUSIVE),
        (-0.03, -0.02, NON_INFERIORITY, 0.02, INCONCLUSIVE),
        (-0.04, -0.03, NON_INFERIORITY, 0.02, INCOMPATIBLE),
        (0.0, 0.0, NON_INFERIORITY, 0.0, COMPATIBLE),
        (0.0, 0.0, SUPERIORITY, 0.0, INCOMPATIBLE),
    ],
)
def test_verdicts(
    low: float, high: float, criterion: Criterion, margin: float, verdict: Verdict
) -> None:
    assert decide(low, high, criterion=criterion, margin=margin) is verdict


@pytest.mark.parametrize(
    ("criterion", "margin", "message"),
    [
        (NON_INFERIORITY, -0.01, "at least 0 but got -0.01"),
        (NON_INFERIORITY, float("nan"), "at least 0 but got nan"),
        (SUPERIORITY, 0.02, "superiority has no margin: it must be 0 but got 0.02"),
    ],
)
def test_margin_is_checked(criterion: Criterion, margin: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decide(0.1, 0.2, criterion=criterion, margin=margin)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=2).map(sorted), st.floats(0, 1))
def test_a_wider_margin_never_hurts(ends: list[float], margin: float) -> None:
    order = [INCOMPATIBLE, INCONCLUSIVE, COMPATIBLE]
    strict = decide(*ends, criterion=NON_INFERIORITY, margin=0.0)
    lenient = decide(*ends, criterion=NON_INFERIORITY, margin=margin)
    superior = decide(*ends, criterion=SUPERIORITY, margin=0.0)
    assert order.index(superior) <= order.index(strict) <= order.index(lenient)


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([COMPATIBLE], COMPATIBLE),
        ([COMPATIBLE, COMPATIBLE], COMPATIBLE),
        ([COMPATIBLE, INCONCLUSIVE], INCONCLUSIVE),
        ([INCONCLUSIVE, INCOMPATIBLE, COMPATIBLE], INCOMPATIBLE),
        ([INCOMPATIBLE], INCOMPATIBLE),
    ],
)
def test_all_claims_must_hold(verdicts: list[Verdict], together: Verdict) -> None:
    assert combine(verdicts) is together
    assert combine(iter(reversed(verdicts))) is together


def test_no_claim_has_no_verdict() -> None:
    with pytest.raises(ValueError, match="at least one verdict"):
        combine([])


# --- a certificate follows from its own parts


def test_a_certificate_that_follows_from_its_parts_passes() -> None:
    for verdict in Verdict:
        check_conclusion(certificate(verdict))


def _few(made: Certificate, n_units: int, policy: Mapping[str, Json]) -> Certificate:
    few = tuple(replace(finding, n_clusters=n_units) for finding in made.findings)
    return replace(made, findings=few, policy=policy)


def test_a_group_of_too_few_units_shows_nothing() -> None:
    made, policy = certificate(COMPATIBLE), Policy(min_units=12)
    check_conclusion(_few(made, 12, policy.to_json()))
    with pytest.raises(InvalidInputError, match="bounds of mAP in 'all'"):
        check_conclusion(_few(made, 11, policy.to_json()))
    for verdict in Verdict:  # no less may it be called unfit
        few = _few(certificate(verdict), 11, policy.to_json())
        open_ones = tuple(replace(finding, verdict=INCONCLUSIVE) for finding in few.findings)
        check_conclusion(replace(few, findings=open_ones, verdict=INCONCLUSIVE))


def test_a_certificate_from_before_needs_no_number_of_units() -> None:
    old = {k: v for k, v in Policy().to_json().items() if k not in ("min_units", "average")}
    check_conclusion(_few(certificate(COMPATIBLE), 2, old))


def _with_leakage(
    share: float, found: Verdict, policy: Policy, training: Mapping[str, Json]
) -> Certificate:
    made = certificate(COMPATIBLE)
    control = Control("no leakage", COMPATIBLE, found, share)
    return replace(
        made,
        controls=(*made.controls, control),
        policy=policy.to_json(),
        training=training,
        verdict=COMPATIBLE if found is COMPATIBLE else INCONCLUSIVE,
    )


TRAINING: Mapping[str, Json] = {"n_items": 500, "digest": "t"}


def test_leakage_is_judged_by_the_policy() -> None:
    some = Policy(max_leaked=0.1)
    for share, found, policy in (
        (0.0, COMPATIBLE, Policy()),
        (0.01, INCONCLUSIVE, Policy()),
        (0.1, COMPATIBLE, some),
        (0.11, INCONCLUSIVE, some),
    ):
        check_conclusion(_with_leakage(share, found, policy, TRAINING))
        other = INCONCLUSIVE if found is COMPATIBLE else COMPATIBLE
        with pytest.raises(InvalidInputError, match="the control 'no leakage' say something else"):
            check_conclusion(_with_leakage(share, other, policy, TRAINING))


def test_training_data_and_their_control_go_together() -> None:
    bare = replace(certificate(COMPATIBLE), training=TRAINING)
    for alone in (bare, _with_leakage(0.0, COMPATIBLE, Policy(), {})):
        with pytest.raises(InvalidInputError, match="'no leakage' go together"):
            check_conclusion(alone)


def _measured_in(*groups: str) -> Certificate:
    made = certificate(COMPATIBLE)
    matrix = {cell: {g: {"mAP": 0.5} for g in ("all", *groups)} for cell in made.matrix}
    return replace(made, matrix=matrix)


def _tried_in(made: Certificate, *groups: str) -> Certificate:
    found = tuple(replace(f, group=group) for f in made.findings for group in groups)
    return replace(made, findings=found)


def test_seen_and_unseen_classes_are_groups_unless_others_were_declared() -> None:
    apart = _measured_in("seen classes", "unseen classes")
    check_conclusion(_tried_in(apart, "seen classes", "unseen classes"))
    for less in (apart, _tried_in(apart, "seen classes")):
        with pytest.raises(InvalidInputError, match="each in each group"):
            check_conclusion(less)
    declared = _measured_in("dark", "seen classes", "unseen classes")
    check_conclusion(_tried_in(declared, "dark"))
    with pytest.raises(InvalidInputError, match="each in each group"):
        check_conclusion(_tried_in(declared, "dark", "seen classes", "unseen classes"))


def _without_controls(made: Certificate) -> Certificate:
    return replace(made, controls=())


def _only_kind_controls(made: Certificate) -> Certificate:
    kind = [c for c in made.controls if c.expected is COMPATIBLE]
    return replace(made, controls=tuple(kind))


def _failed_control(made: Certificate) -> Certificate:
    broken = replace(made.controls[0], found=COMPATIBLE)
    return replace(made, controls=(broken, *made.controls[1:]))


def _forgotten_requirement(made: Certificate) -> Certificate:
    return replace(made, findings=made.findings[:1])


def _one_group_less(made: Certificate) -> Certificate:
    other = replace(made.findings[0], group="unseen")
    return replace(made, findings=(*made.findings, other))


def _forgotten_group(made: Certificate) -> Certificate:
    return replace(made, matrix={"a -> a": {"all": {}, "seen": {}, "unseen": {}}})


def _superiority_with_a_margin(made: Certificate) -> Certificate:
    return replace(made, findings=(replace(made.findings[0], margin=0.1), *made.findings[1:]))


def _wider_margin(made: Certificate) -> Certificate:
    return replace(made, findings=(made.findings[0], replace(made.findings[1], margin=0.5)))


def _bounds_that_say_otherwise(made: Certificate) -> Certificate:
    return replace(made, findings=(replace(made.findings[0], low=-0.1), *made.findings[1:]))


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda made: replace(made, findings=()), "no findings"),
        (lambda made: replace(made, verdict=INCONCLUSIVE), "do not make it INCONCLUSIVE"),
        (_without_controls, "can say no"),
        (_only_kind_controls, "can say no"),
        (_failed_control, "do not make it COMPATIBLE"),
        (_forgotten_requirement, "requirements of its policy"),
        (_one_group_less, "requirements of its policy"),
        (_wider_margin, "requirements of its policy"),
        (_forgotten_group, "requirements of its policy"),
        (_superiority_with_a_margin, "superiority has no margin"),
        (lambda made: replace(made, policy={"requirements": []}), "at least one requirement"),
        (_bounds_that_say_otherwise, "bounds of mAP in 'all'"),
    ],
)
def test_one_that_claims_more_is_refused(
    break_it: Callable[[Certificate], Certificate], says: str
) -> None:
    with pytest.raises(InvalidInputError, match=says):
        check_conclusion(break_it(certificate(COMPATIBLE)))


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("random model", COMPATIBLE),
        ("rotated model", COMPATIBLE),
        ("old model", INCOMPATIBLE),
        ("no leakage", INCONCLUSIVE),
        ("served search", INCONCLUSIVE),
        ("foo", COMPATIBLE),
    ],
)
def test_a_control_must_have_the_outcome_that_its_name_stands_for(
    name: str, outcome: Verdict
) -> None:
    made = certificate(COMPATIBLE)
    others = [control for control in made.controls if control.name != name]
    forged = replace(made, controls=(*others, Control(name, outcome, outcome, 0.5)))
    with pytest.raises(InvalidInputError, match="does not hold together"):
        check_conclusion(forged)


def test_every_planted_control_stands_there_once() -> None:
    made = certificate(COMPATIBLE)
    for place in range(len(made.controls)):
        fewer = made.controls[:place] + made.controls[place + 1 :]
        with pytest.raises(InvalidInputError, match="say no and can say yes"):
            check_conclusion(replace(made, controls=fewer))
    with pytest.raises(InvalidInputError, match="stands there twice"):
        check_conclusion(replace(made, controls=(*made.controls, made.controls[0])))


def test_attempts_beyond_the_plan_and_a_matrix_without_all_queries_are_refused() -> None:
    made = certificate(COMPATIBLE)
    planned = replace(made, policy=Policy(planned_attempts=2).to_json())
    assert made.attempt is not None
    check_conclusion(planned)
    for attempt in (
        replace(made.attempt, number=3),
        replace(made.attempt, number=0),
        replace(made.attempt, spent_before=0.04),
    ):
        with pytest.raises(InvalidInputError, match="not among those that were planned"):
            check_conclusion(replace(planned, attempt=attempt))
    cells = {cell: {"a": by["all"]} for cell, by in made.matrix.items()}
    with pytest.raises(InvalidInputError, match="does not hold together"):
        check_conclusion(replace(made, matrix=cells))
