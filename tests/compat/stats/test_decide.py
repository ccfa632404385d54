from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.stats import DifferenceBounds, combine, decide
from registry.domain.certificates import Criterion, Verdict

COMPATIBLE, INCOMPATIBLE, INCONCLUSIVE = (
    Verdict.COMPATIBLE,
    Verdict.INCOMPATIBLE,
    Verdict.INCONCLUSIVE,
)
SUPERIORITY, NON_INFERIORITY = Criterion.SUPERIORITY, Criterion.NON_INFERIORITY


def between(low: float, high: float) -> DifferenceBounds:
    return DifferenceBounds((low + high) / 2, low, high, 0.95, 100, 10)


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
    assert decide(between(low, high), criterion=criterion, margin=margin) is verdict


def test_the_estimate_has_no_say() -> None:
    bounds = DifferenceBounds(0.5, -0.1, 0.6, 0.95, 100, 10)
    assert decide(bounds, criterion=SUPERIORITY, margin=0.0) is INCONCLUSIVE


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
        decide(between(0.1, 0.2), criterion=criterion, margin=margin)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=2).map(sorted), st.floats(0, 1))
def test_a_wider_margin_never_hurts(ends: list[float], margin: float) -> None:
    order = [INCOMPATIBLE, INCONCLUSIVE, COMPATIBLE]
    strict = decide(between(*ends), criterion=NON_INFERIORITY, margin=0.0)
    lenient = decide(between(*ends), criterion=NON_INFERIORITY, margin=margin)
    superior = decide(between(*ends), criterion=SUPERIORITY, margin=0.0)
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
