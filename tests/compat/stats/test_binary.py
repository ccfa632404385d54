from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, multinomial

from compat.stats import binary
from compat.stats.binary import mcnemar_exact, paired_proportion_bounds
from registry.arrays import Float64Array

# --- McNemar


def test_published_mcnemar() -> None:
    """Agresti 1990, p. 350, approval ratings (R's help of mcnemar.test): 150 and 86 changed.

    The exact p-value is 3.716e-05; R: binom.test(86, 236)$p.value.
    """
    found = mcnemar_exact(150, 86)
    assert found.two_sided == pytest.approx(3.716e-05, rel=1e-3)
    assert found.greater == pytest.approx(found.two_sided / 2)
    assert found.less > 0.99


@pytest.mark.parametrize(("gains", "losses"), [(0, 0), (5, 0), (3, 9), (200, 170)])
def test_equals_the_binomial_test(gains: int, losses: int) -> None:
    found = mcnemar_exact(gains, losses)
    if gains + losses == 0:
        assert (found.greater, found.less, found.two_sided) == (1.0, 1.0, 1.0)
        return
    test = binomtest(gains, gains + losses, alternative="greater")
    assert found.greater == pytest.approx(test.pvalue)
    assert found.two_sided == pytest.approx(binomtest(gains, gains + losses).pvalue)


# --- the bound


def outcomes(n: int) -> list[tuple[int, int]]:
    return [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]


def simplex(steps: int) -> list[tuple[float, float]]:
    """Gain and loss rates on a grid, the edges of the simplex included."""
    return [(i / steps, j / steps) for i in range(steps + 1) for j in range(steps + 1 - i)]


def probabilities(gain: float, loss: float, n: int) -> Float64Array:
    counts = [(b, c, n - b - c) for b, c in outcomes(n)]
    rest = max(0.0, 1 - gain - loss)
    return np.asarray(multinomial.pmf(counts, n, [gain, loss, rest]))


@functools.cache
def low(gains: int, losses: int, n: int) -> float:
    return binary._lower_bound(gains, losses, n, 0.95)


@pytest.mark.parametrize("n", [2, 7, 12])
def test_exact_coverage_by_enumeration(n: int) -> None:
    """Sum the trinomial mass where the bound covers, over a grid of both rates."""
    lows = np.array([low(b, c, n) for b, c in outcomes(n)])
    coverage = [
        probabilities(gain, loss, n)[lows <= gain - loss + 1e-12].sum()
        for gain, loss in simplex(40)
    ]
    assert min(coverage) >= 0.95 - 1e-9
    assert min(coverage) < 0.97  # not just very low


def test_the_upper_bound_is_that_of_the_exchanged_models() -> None:
    found = paired_proportion_bounds(3, 1, 12)
    assert (found.low, found.high) == (low(3, 1, 12), -low(1, 3, 12))
    assert (found.estimate, found.n_queries, found.n_clusters) == (2 / 12, 12, 12)


def test_wald_intervals_do_not_cover() -> None:
    """So that the enumeration above can fail."""
    n = 16
    pairs = np.array(outcomes(n))
    difference = (pairs[:, 0] - pairs[:, 1]) / n
    spread = np.sqrt((pairs.sum(axis=1) / n - difference**2) / n)
    lows = difference - 1.645 * spread
    worst = min(
        probabilities(gain, loss, n)[lows <= gain - loss + 1e-12].sum()
        for gain, loss in simplex(40)
    )
    assert worst < 0.7


@pytest.mark.parametrize(("n", "observed"), [(12, (2, 1)), (12, (0, 0)), (30, (4, 7))])
def test_the_region_probability_equals_the_enumeration(n: int, observed: tuple[int, int]) -> None:
    fewest = binary._fewest_gains(*observed, n, 0.95)
    is_inside = np.array([b >= fewest[b + c] for b, c in outcomes(n)])
    assert is_inside[outcomes(n).index(observed)]
    for gain, loss in simplex(10):
        exact = probabilities(gain, loss, n)[is_inside].sum()
        found = binary._region_probabilities(np.array([gain]), np.array([loss]), fewest)[0]
        assert found == pytest.approx(exact, abs=2e-9)
        assert found >= exact - 1e-12


@pytest.mark.parametrize("observed", [(0, 0), (3, 1), (0, 8), (5, 5)])
def test_a_gain_more_or_a_loss_fewer_stays_in_the_region(observed: tuple[int, int]) -> None:
    """What the worst case at corners rests on (Hsueh et al. 2001)."""
    n = 14
    fewest = binary._fewest_gains(*observed, n, 0.95)
    inside = {(b, c) for b, c in outcomes(n) if b >= fewest[b + c]}
    for b, c in inside:
        assert b + 1 + c > n or (b + 1, c) in inside
        assert c == 0 or (b, c - 1) in inside
        assert c == 0 or (b + 1, c - 1) in inside


def test_no_change_gives_the_rule_of_three() -> None:
    """Nothing changed in n: the worst case loses only, and 1 - 0.049 ** (1 / n) is excluded."""
    for n in (10, 150, 1_000):
        found = paired_proportion_bounds(0, 0, n)
        assert found.low == pytest.approx(-(1 - 0.049 ** (1 / n)), rel=0.02)
        assert found.high == -found.low


def test_close_to_the_score_interval_for_many_queries() -> None:
    """120 gains, 100 losses of 2,000: 0.01 -+ 1.645 sqrt(0.11 - 0.0001) / sqrt(2000) = 0.0122."""
    found = paired_proportion_bounds(120, 100, 2_000)
    assert found.low == pytest.approx(0.01 - 0.0122, abs=0.0009)
    assert found.high == pytest.approx(0.01 + 0.0122, abs=0.0009)
    assert found.low < 0.01 - 0.0122


def test_more_gains_raise_it_and_more_losses_lower_it() -> None:
    lows = {(b, c): low(b, c, 12) for b, c in outcomes(12)}
    slack = 0.002  # of the bisection
    for (b, c), bound in lows.items():
        assert (b + 1, c) not in lows or lows[b + 1, c] >= bound - slack
        assert (b, c + 1) not in lows or lows[b, c + 1] <= bound + slack


def test_nested_in_the_level() -> None:
    levels = (0.6, 0.8, 0.95, 0.99, 0.9999)
    found = [paired_proportion_bounds(9, 4, 60, confidence_level=level) for level in levels]
    assert all(one.low > other.low for one, other in itertools.pairwise(found))
    assert all(one.high < other.high for one, other in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("gains", "losses", "n", "level", "message"),
    [
        (-1, 0, 3, 0.95, "-1 gains and 0 losses of 3"),
        (2, 2, 3, 0.95, "2 gains and 2 losses of 3"),
        (0, 0, 0, 0.95, "of 0 queries"),
        (0, 0, 3, 0.4, "at least 0.5 but got 0.4"),
    ],
)
def test_arguments_are_checked(gains: int, losses: int, n: int, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_proportion_bounds(gains, losses, n, confidence_level=level)


def test_mcnemar_counts_are_checked() -> None:
    with pytest.raises(ValueError, match="at least 0 but got 1 and -2"):
        mcnemar_exact(1, -2)
