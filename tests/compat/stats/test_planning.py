from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from compat.stats import paired_difference_bounds, planning
from compat.stats.planning import (
    binary_sd,
    further_units,
    required_units,
    resolving_units,
    unit_sd,
)


def rounded(n: int, digits: int) -> int:
    return round(n, digits - len(str(n)))


@pytest.mark.parametrize(("margin", "stated"), [(0.02, 970), (0.01, 3_900), (0.005, 15_500)])
def test_the_table_for_a_continuous_metric(margin: float, stated: int) -> None:
    """USERS.md 6.3: 80 % power, alpha 0.05 one-sided, SD 0.25, to its rounding."""
    assert rounded(required_units(margin, 0.25).by_normal, len(str(stated).rstrip("0"))) == stated


@pytest.mark.parametrize(("margin", "stated"), [(0.02, 773), (0.01, 3_092), (0.005, 12_366)])
def test_the_table_for_hit_at_1(margin: float, stated: int) -> None:
    """USERS.md 6.3: R@1 with 5 % discordance."""
    assert required_units(margin, binary_sd(0.05)).by_normal == stated


@pytest.mark.parametrize(
    ("gain", "changed", "stated"),
    [
        (0.002, 0.05, 77_000),
        (0.002, 0.15, 232_000),
        (0.002, 0.30, 464_000),
        (0.005, 0.05, 12_000),
        (0.005, 0.15, 37_000),
        (0.005, 0.30, 74_000),
        (0.01, 0.05, 3_100),
        (0.01, 0.15, 9_300),
        (0.02, 0.05, 800),
        (0.02, 0.15, 2_300),
        (0.02, 0.30, 4_600),
    ],
)
def test_the_table_of_methods_7(gain: float, changed: float, stated: int) -> None:
    """Queries needed to show a true gain at a share of discordant queries."""
    n = required_units(0.0, binary_sd(changed), difference=gain).by_normal
    step = 1_000 if stated >= 10_000 else 100
    assert abs(n - stated) <= step / 2


def test_the_last_cell_of_methods_7() -> None:
    """It says 18.6k; 6.1826 * 0.30 / 0.01**2 = 18,548 rounds to 18.5k, and it is 2 * 9.3k."""
    assert required_units(0.0, binary_sd(0.30), difference=0.01).by_normal == 18_548


@pytest.mark.parametrize(("margin", "level"), [(0.02, 0.95), (0.01, 0.95), (0.1, 0.99), (0.5, 0.6)])
def test_resolution_is_where_no_difference_passes(margin: float, level: float) -> None:
    """The bound of n zero differences is -(1 - (1 - level) ** (1 / n))."""
    n = resolving_units(margin, level)
    assert 1 - (1 - level) ** (1 / n) <= margin
    assert n == 1 or 1 - (1 - level) ** (1 / (n - 1)) > margin


def test_resolution_of_the_decision_record() -> None:
    """ADR 5: a margin of 0.02 needs about 150 classes."""
    assert resolving_units(0.02) == 149
    assert resolving_units(1.0) == 1


def test_gaffkes_bound_needs_no_more_than_what_is_planned() -> None:
    """400 samples of the planned size each: at least 80 % power less two errors, and not 100 %."""
    for sd, margin in ((0.25, 0.06), (0.05, 0.03), (0.1, 0.03)):
        n = required_units(margin, sd).n_units
        rng = np.random.default_rng(1)
        passed = []
        for _ in range(400):
            differences = np.clip(rng.normal(0, sd, n), -1, 1)
            found = paired_difference_bounds(
                np.zeros(n), differences, np.arange(n), n_resamples=500, rng=rng
            )
            passed.append(found.low >= -margin)
        assert 0.8 - 2 * math.sqrt(0.16 / 400) <= np.mean(passed) < 0.97


def test_more_units_for_a_smaller_margin_a_higher_level_and_more_spread() -> None:
    base = required_units(0.02, 0.25).n_units
    assert required_units(0.01, 0.25).n_units > base
    assert required_units(0.02, 0.30).n_units > base
    assert required_units(0.02, 0.25, confidence_level=0.99).n_units > base
    assert required_units(0.02, 0.25, power=0.9).n_units > base
    assert required_units(0.02, 0.25, difference=0.01).n_units < base
    assert required_units(0.02, 0.0).by_resolution == 149


# --- afterwards


def test_further_units_by_hand() -> None:
    """Found -0.005 +- 0.25 on 300 units, margin 0.02: distance 0.015."""
    factor = planning._pilot_factor(300)
    wanted = required_units(0.02, 0.25 * factor, difference=-0.005).n_units
    assert further_units(-0.005, 0.25, 300, margin=0.02) == wanted - 300
    assert wanted > required_units(0.02, 0.25, difference=-0.005).n_units


@pytest.mark.parametrize("n", [2, 5, 30, 1_000])
def test_the_pilot_factor_is_a_quantile_of_chi_square(n: int) -> None:
    exact = math.sqrt((n - 1) / chi2.ppf(0.2, n - 1))
    assert planning._pilot_factor(n) == pytest.approx(exact, rel=0.25 if n == 2 else 0.01)


def test_no_number_helps_on_the_wrong_side() -> None:
    assert further_units(-0.02, 0.25, 300, margin=0.02) is None
    assert further_units(-0.03, 0.25, 300, margin=0.02) is None
    assert further_units(0.0, 0.25, 300, margin=0.0) is None
    assert further_units(0.1, math.inf, 1, margin=0.02) is None


def test_none_are_needed_where_there_are_enough() -> None:
    assert further_units(0.2, 0.1, 5_000, margin=0.02) == 0


def test_without_variation_the_resolution_is_what_lacks() -> None:
    assert further_units(0.0, 0.0, 100, margin=0.02) in {49, 50}  # -log(0.05) / 0.02 = 149.8


# --- the spread


def test_unit_sd_of_single_queries_is_theirs() -> None:
    differences = np.random.default_rng(3).uniform(-1, 1, 40)
    found = unit_sd(np.zeros(40), differences, np.arange(40))
    assert found == pytest.approx(differences.std(ddof=1))


def test_unit_sd_of_clusters_gives_the_standard_error_of_the_ratio() -> None:
    """Against the spread of 20,000 means of fresh clusters of 1 to 9 queries that go together."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 10, (20_000, 50))
    pulls = rng.uniform(-0.5, 0.5, (20_000, 50))
    true_error = ((sizes * pulls).sum(axis=1) / sizes.sum(axis=1)).std()
    found = [
        unit_sd(np.zeros(s.sum()), np.repeat(p, s), np.repeat(np.arange(50), s))
        for s, p in zip(sizes[:100], pulls[:100], strict=True)
    ]
    assert np.mean(found) / math.sqrt(50) == pytest.approx(true_error, rel=0.03)


def test_one_unit_tells_nothing_of_the_spread() -> None:
    assert unit_sd(np.zeros(3), np.array([0.1, 0.2, 0.3]), np.zeros(3)) == math.inf


def test_binary_sd() -> None:
    assert binary_sd(0.05) == pytest.approx(math.sqrt(0.05))
    assert binary_sd(1.0, -1.0) == 0.0
    with pytest.raises(ValueError, match=r"\[0.2, 1\] but got 0.1"):
        binary_sd(0.1, 0.2)


# --- errors


def test_plans_are_checked() -> None:
    with pytest.raises(ValueError, match="margin and sd must be"):
        required_units(-0.1, 0.2)
    with pytest.raises(ValueError, match="margin and sd must be"):
        required_units(0.1, math.inf)
    with pytest.raises(ValueError, match="above minus the margin"):
        required_units(0.02, 0.2, difference=-0.02)
    with pytest.raises(ValueError, match="above minus the margin"):
        required_units(0.0, 0.2)
    with pytest.raises(ValueError, match=r"power must be in \[0.5, 1\) but got 1"):
        required_units(0.02, 0.2, power=1.0)
    with pytest.raises(ValueError, match="confidence_level"):
        required_units(0.02, 0.2, confidence_level=95.0)
    with pytest.raises(ValueError, match=r"margin must be in \(0, 1.0\] but got 0"):
        resolving_units(0.0)
    with pytest.raises(ValueError, match="n_units must be at least 1 but got 0"):
        further_units(0.0, 0.2, 0, margin=0.02)
