from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from compat.stats.bounds import paired_difference_bounds
from compat.stats.p_values import paired_difference_p_values


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("k", "n", "rate"), [(9, 12, 0.5), (3, 30, 0.2), (30, 30, 0.95)])
def test_binary_queries_give_the_binomial_test(k: int, n: int, rate: float) -> None:
    """Gaffke's bound of 0/1 values is Clopper and Pearson's, which inverts the binomial test."""
    found = paired_difference_p_values(
        np.zeros(n),
        np.repeat([1.0, 0.0], [k, n - k]),
        np.arange(n),
        threshold=rate,
        limits=(0.0, 1.0),
        n_resamples=200_000,
        rng=rng(),
    )
    assert found.greater == pytest.approx(
        binomtest(k, n, rate, alternative="greater").pvalue, abs=0.004
    )
    assert found.less == pytest.approx(binomtest(k, n, rate, alternative="less").pvalue, abs=0.004)


@pytest.mark.parametrize("seed", range(12))
def test_small_exactly_when_the_bound_lies_beyond(seed: int) -> None:
    baseline, candidate = rng(seed).random(25), rng(seed + 100).random(25) + 0.15
    candidate = np.minimum(candidate, 1.0)
    clusters = np.arange(25) // 2
    largest = None if seed % 2 else 3.0
    p = paired_difference_p_values(
        baseline, candidate, clusters, largest_cluster=largest, n_resamples=2000, rng=rng(1)
    )
    bounds = paired_difference_bounds(
        baseline,
        candidate,
        clusters,
        largest_cluster=largest,
        n_resamples=2000,
        rng=rng(1),
        confidence_level=0.9,
    )
    assert (p.greater <= 0.1) == (bounds.low > 0)
    assert (p.less <= 0.1) == (bounds.high < 0)


def test_never_zero() -> None:
    found = paired_difference_p_values(
        np.zeros(500), np.ones(500), np.arange(500), n_resamples=99, rng=rng()
    )
    assert (found.greater, found.less) == (0.01, 1.0)


@pytest.mark.parametrize(
    ("threshold", "n_resamples", "message"),
    [(np.nan, 10, "threshold must be finite"), (0.0, 0, "at least 1 but got 0")],
)
def test_settings_are_checked(threshold: float, n_resamples: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference_p_values(
            np.zeros(2),
            np.zeros(2),
            np.arange(2),
            threshold=threshold,
            n_resamples=n_resamples,
            rng=rng(),
        )
