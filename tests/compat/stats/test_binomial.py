from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from compat.stats.binomial import clustered_rate_bounds, rate_bounds, upper_tail


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (0, 30), (7, 30), (30, 30), (12, 5_000), (4_999, 5_000)]
)
@pytest.mark.parametrize("level", [0.5, 0.95, 0.9999])
def test_equals_scipy(k: int, n: int, level: float) -> None:
    """scipy.stats.binomtest(...).proportion_ci(method="exact"), Clopper and Pearson's."""
    found = rate_bounds(k, n, confidence_level=level)
    low = binomtest(k, n, alternative="greater").proportion_ci(level, method="exact").low
    high = binomtest(k, n, alternative="less").proportion_ci(level, method="exact").high
    assert found.low == pytest.approx(low, abs=1e-9)
    assert found.high == pytest.approx(high, abs=1e-9)


def test_published_interval() -> None:
    """R: binom.test(682, 925, p=0.75)$conf.int gives 0.7076683 0.7654066 (help page, Conover)."""
    found = rate_bounds(682, 925, confidence_level=0.975)
    assert (found.low, found.high) == pytest.approx((0.7076683, 0.7654066), abs=1e-6)


@pytest.mark.parametrize("n", [1, 5, 17, 30])
def test_exact_coverage_by_enumeration(n: int) -> None:
    bounds = [rate_bounds(k, n) for k in range(n + 1)]
    lows, highs = np.array([b.low for b in bounds]), np.array([b.high for b in bounds])
    worst = 1.0
    for rate in np.linspace(0.001, 0.999, 400):
        mass = binom.pmf(np.arange(n + 1), n, rate)
        assert mass[lows <= rate].sum() >= 0.95 - 1e-12
        assert mass[highs >= rate].sum() >= 0.95 - 1e-12
        worst = min(worst, mass[lows <= rate].sum())
    assert worst < 0.97  # not just very low


def test_tails_of_none_and_all() -> None:
    assert upper_tail(0, 0, 0.5) == 1.0
    assert upper_tail(3, 3, 0.5) == pytest.approx(0.125)


def test_single_trials_give_clopper_pearson() -> None:
    events = np.arange(40) < 3
    found = clustered_rate_bounds(
        events, np.arange(40), n_resamples=200_000, rng=np.random.default_rng(0)
    )
    exact = rate_bounds(3, 40)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.002)
    assert (found.estimate, found.n_events, found.n_trials, found.n_clusters) == (3 / 40, 3, 40, 40)


def test_trials_of_one_subject_are_one_observation() -> None:
    """20 subjects of 50 trials, no event: 1 - 0.05 ** (1 / 20), not 1 - 0.05 ** (1 / 1000)."""
    found = clustered_rate_bounds(
        np.zeros(1_000, dtype=bool), np.repeat(np.arange(20), 50), rng=np.random.default_rng(0)
    )
    assert found.high == pytest.approx(1 - 0.05 ** (1 / 20), rel=0.05)
    assert rate_bounds(0, 1_000).high < 0.0031
    larger = clustered_rate_bounds(
        np.zeros(1_000, dtype=bool),
        np.repeat(np.arange(20), 50),
        largest_cluster=200,
        rng=np.random.default_rng(0),
    )
    assert larger.high > 2 * found.high


@pytest.mark.parametrize(
    ("k", "n", "message"),
    [(0, 0, "n_trials must be at least 1 but got 0"), (4, 3, "0 to n_trials = 3 but got 4")],
)
def test_counts_are_checked(k: int, n: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rate_bounds(k, n)


def test_events_are_checked() -> None:
    with pytest.raises(ValueError, match="events must be true or false"):
        clustered_rate_bounds(
            np.array([0.5, 1.0]),
            np.arange(2),
            rng=np.random.default_rng(0),
        )
