from __future__ import annotations

import pytest

from compat.score_support import ScoreSupport, rounded_up
from compat.stats import smallest_supported_rate
from registry.domain.score_metrics import ScoreMetric, parse_score_metric
from registry.errors import InvalidInputError


def metric(name: str) -> ScoreMetric:
    found = parse_score_metric(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("n_units", "n_pairs", "at", "least"),
    [
        (1000, 10**9, "FAR", smallest_supported_rate(1000)),  # units are the floor: about 3 / n
        (1000, 6000, "FAR", 0.005),  # pairs are: 30 / n
        (1000, 10**9, "FPIR", 0.015),  # searches are
        (1000, 10, "FAR", 1.0),  # none at all
    ],
)
def test_the_higher_floor_holds(n_units: int, n_pairs: int, at: str, least: float) -> None:
    support = ScoreSupport(n_units, n_pairs, 2000, 0.95)
    assert support.smallest(at) == pytest.approx(least)
    assert f"The smallest {at} that this probe set supports is" in support.sentence(at)


def test_what_is_below_is_refused_with_what_was_asked_is_there_and_is_needed() -> None:
    support = ScoreSupport(100, 10**6, 500, 0.95)
    with pytest.raises(InvalidInputError) as caught:
        support.check(metric("TAR@FAR=0.001"))
    said = str(caught.value)
    assert said.startswith("TAR@FAR=0.001 is below what this probe set supports, a FAR of 0.0296")
    assert said.endswith("100 independent units, 1000000 impostor pairs")
    assert caught.value.hint == (
        "ask for TAR@FAR=0.0296, or measure on at least 2995 units and 30000 impostor pairs"
    )
    with pytest.raises(InvalidInputError, match=r"a FPIR of 0\.06 or more: .* 500 searches"):
        support.check(metric("TPIR@FPIR=0.01"))


def test_what_the_hint_says_is_accepted() -> None:
    for n_units in (40, 61, 100, 777):
        support = ScoreSupport(n_units, 10**6, 10**6, 0.95)
        support.check(metric(f"TAR@FAR={rounded_up(support.smallest('FAR')):g}"))
        ScoreSupport(2995, 30_000, 1, 0.95).check(metric("TAR@FAR=0.001"))


def test_a_single_unit_supports_nothing_and_a_deployed_score_needs_no_support() -> None:
    support = ScoreSupport(1, 10**6, 10**6, 0.95)
    with pytest.raises(InvalidInputError, match="supports no FAR at all"):
        support.check(metric("TAR@FAR=0.99"))
    support.check(metric("TRR@score=0.5"))


def test_rates_are_rounded_up_so_that_they_can_be_asked_for() -> None:
    assert [rounded_up(rate) for rate in (0.02951, 0.1, 0.0012345, 0.99999, 3e-6)] == [
        0.0296,
        0.1,
        0.00124,
        1.0,
        3e-6,
    ]
