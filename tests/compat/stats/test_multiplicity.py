from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import norm

from compat.stats.multiplicity import (
    GroupBounds,
    Outcome,
    group_outcomes,
    holm_adjusted,
    worst_group,
)

# --- Holm


def test_holm_by_hand() -> None:
    """R: p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm") gives 0.05 0.08 0.09 0.09 0.09."""
    found = holm_adjusted(np.array([0.01, 0.02, 0.03, 0.04, 0.05]))
    assert found == pytest.approx([0.05, 0.08, 0.09, 0.09, 0.09])


def test_holm_keeps_the_order_of_claims_and_stops_at_one() -> None:
    found = holm_adjusted(np.array([0.6, 0.001, 0.3]))
    assert found == pytest.approx([0.6, 0.003, 0.6])
    assert holm_adjusted(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])
    assert holm_adjusted(np.array([])).tolist() == []


def closed_test(p_values: list[float], alpha: float) -> list[bool]:
    """Reject i if Bonferroni rejects every set of claims that holds i: the closure principle."""
    claims = range(len(p_values))
    sets = [s for r in range(1, len(p_values) + 1) for s in itertools.combinations(claims, r)]
    return [
        all(min(p_values[j] for j in s) <= alpha / len(s) for s in sets if i in s) for i in claims
    ]


@pytest.mark.parametrize("seed", range(20))
def test_holm_is_the_closed_test_of_bonferroni(seed: int) -> None:
    p_values = np.random.default_rng(seed).random(5) ** 3
    expected = closed_test(p_values.tolist(), 0.05)
    assert (holm_adjusted(p_values) <= 0.05).tolist() == expected


@pytest.mark.parametrize("p_values", [[0.5, np.nan], [-0.1], [1.1]])
def test_p_values_are_checked(p_values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"in \[0, 1\] but got"):
        holm_adjusted(np.array(p_values))


def test_p_values_are_one_dimensional() -> None:
    with pytest.raises(ValueError, match=r"1-d but have shape \(1, 1\)"):
        holm_adjusted(np.array([[0.1]]))


# --- groups


def test_three_outcomes_and_small_groups_are_undecided() -> None:
    groups = [
        GroupBounds(-0.01, 0.1, 50),
        GroupBounds(-0.5, -0.03, 50),
        GroupBounds(-0.1, 0.1, 50),
        GroupBounds(-0.02, 0.1, 50),  # at the threshold: not worse by more than the margin
        GroupBounds(0.0, 0.1, 9),
        GroupBounds(-0.9, -0.5, 9),
    ]
    assert group_outcomes(groups, threshold=-0.02, min_units=10) == (
        Outcome.ABOVE,
        Outcome.BELOW,
        Outcome.UNDECIDED,
        Outcome.ABOVE,
        Outcome.UNDECIDED,
        Outcome.UNDECIDED,
    )


def test_worst_group() -> None:
    groups = [GroupBounds(0.1, 0.3, 50), GroupBounds(-0.2, 0.4, 50), GroupBounds(-0.9, 0.9, 3)]
    found = worst_group(groups[:2], min_units=10)
    assert (found.low, found.low_of_measured, found.lowest, found.too_small) == (-0.2, -0.2, 1, ())
    found = worst_group(groups, min_units=10)
    assert (found.low, found.low_of_measured, found.lowest) == (None, -0.2, 1)
    assert found.too_small == (2,)
    found = worst_group(groups[2:], min_units=10)
    assert (found.low, found.low_of_measured, found.lowest) == (None, None, None)


def test_the_smallest_bound_covers_the_worst_group_without_correction() -> None:
    """Four normal groups; the probability is exact: the product over groups of what each does.

    min(low) <= worst mean unless all lows are above it. With lows N(mean - z, 1) and a worst mean
    of 0 the probability of failing is prod Phi(mean_g - z), which is at most Phi(-z) = 0.05.
    """
    z = norm.ppf(0.95)
    for means in ([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0], [0.0, 9.0, 9.0, 9.0]):
        failing = np.prod(norm.cdf(np.array(means) - z))
        assert failing <= 0.05 + 1e-12
        draws = np.random.default_rng(0).normal(np.array(means) - z, 1, (20_000, 4))
        found = [
            worst_group([GroupBounds(low, 9.0, 10) for low in row], min_units=1).low
            for row in draws.tolist()
        ]
        share = np.mean([low is not None and low > 0 for low in found])
        assert share == pytest.approx(failing, abs=0.006)


@pytest.mark.parametrize("min_units", [0, -3])
def test_settings_are_checked(min_units: int) -> None:
    group = [GroupBounds(0.0, 0.0, 1)]
    with pytest.raises(ValueError, match=f"min_units must be at least 1 but got {min_units}"):
        worst_group(group, min_units=min_units)
    with pytest.raises(ValueError, match=f"min_units must be at least 1 but got {min_units}"):
        group_outcomes(group, threshold=0.0, min_units=min_units)
    with pytest.raises(ValueError, match="at least one group"):
        worst_group([], min_units=1)
