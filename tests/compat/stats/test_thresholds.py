from __future__ import annotations

import numpy as np
import pytest

from compat.stats.binomial import rate_bounds
from compat.stats.thresholds import (
    false_accept_bounds,
    false_reject_bounds,
    smallest_measurable_rate,
    smallest_supported_rate,
    units_to_support,
)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_rules_of_three_and_of_thirty() -> None:
    """USERS.md 6.4: a FAR of 1e-4 needs 3e4 impostor trials by the one, 3e5 by the other."""
    assert smallest_supported_rate(30_000) == pytest.approx(1e-4, rel=0.002)
    assert units_to_support(1e-4) == pytest.approx(30_000, rel=0.002)
    assert smallest_measurable_rate(300_000) == pytest.approx(1e-4)
    assert smallest_measurable_rate(7) == 1.0


@pytest.mark.parametrize(("n", "level"), [(1, 0.95), (50, 0.95), (999, 0.99), (10, 0.5)])
def test_it_is_the_bound_of_no_error(n: int, level: float) -> None:
    supported = smallest_supported_rate(n, level)
    assert supported == pytest.approx(rate_bounds(0, n, confidence_level=level).high, abs=1e-9)
    assert units_to_support(supported, level) == n
    assert units_to_support(supported * 0.99, level) > n


def test_rates_are_counted_at_and_above_the_threshold() -> None:
    scores = np.array([0.2, 0.5, 0.5, 0.9, 0.1])
    accepted = false_accept_bounds(scores, np.arange(5), threshold=0.5, rng=rng())
    rejected = false_reject_bounds(scores, np.arange(5), threshold=0.5, rng=rng())
    assert (accepted.n_events, rejected.n_events) == (3, 2)
    assert accepted.low < 0.6 < accepted.high
    assert accepted.low == pytest.approx(rate_bounds(3, 5).low, abs=0.01)


def test_many_comparisons_of_few_subjects_support_little() -> None:
    """40,000 comparisons of 200 subjects and no error: 3 / 200, not 3 / 40,000."""
    subjects = np.repeat(np.arange(200), 200)
    found = false_accept_bounds(np.zeros(40_000), subjects, threshold=0.5, rng=rng())
    assert found.high == pytest.approx(smallest_supported_rate(200), rel=0.05)
    assert found.high > 100 * smallest_supported_rate(40_000)


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match="n_units must be at least 1 but got 0"):
        smallest_supported_rate(0)
    with pytest.raises(ValueError, match="n_units must be at least 1 but got 0"):
        smallest_measurable_rate(0)
    with pytest.raises(ValueError, match=r"rate must be in \(0, 1\) but got 1.0"):
        units_to_support(1.0)
    with pytest.raises(ValueError, match="1 scores are"):
        false_accept_bounds(np.array([np.nan, 1.0]), np.arange(2), threshold=0.5, rng=rng())
    with pytest.raises(ValueError, match="must not be NaN"):
        false_reject_bounds(np.zeros(2), np.arange(2), threshold=np.nan, rng=rng())
