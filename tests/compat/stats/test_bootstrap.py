from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from compat.stats import bootstrap
from compat.stats.bootstrap import (
    BootstrapBounds,
    Degenerate,
    bca_difference_bounds,
    jackknife_acceleration,
    percentile_difference_bounds,
    resampled_cluster_means,
)
from compat.stats.clusters import ClusterSums, sum_by_cluster
from registry.arrays import Float64Array, Int64Array


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bca(
    differences: Float64Array,
    clusters: Int64Array | None = None,
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> BootstrapBounds:
    labels = np.arange(len(differences)) if clusters is None else clusters
    return bca_difference_bounds(
        np.zeros(len(differences)),
        differences,
        labels,
        confidence_level=level,
        n_resamples=n_resamples,
        rng=rng(seed),
    )


def skewed(n: int, seed: int) -> Float64Array:
    return np.clip(rng(seed).exponential(0.2, n) - 0.25, -1, 1)


def ratio(totals: Float64Array, sizes: Float64Array, axis: int = -1) -> Float64Array:
    return np.asarray(totals.sum(axis=axis) / sizes.sum(axis=axis))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("method", ["BCa", "percentile"])
def test_agrees_with_scipy_for_unequal_clusters(seed: int, method: str) -> None:
    """Against scipy.stats.bootstrap of the ratio of sums; both have 200,000 resamples."""
    sizes = rng(seed).integers(1, 12, 25)
    clusters = np.repeat(np.arange(25), sizes)
    differences = np.clip(
        skewed(25, seed)[clusters] + rng(seed).normal(0, 0.05, sizes.sum()), -1, 1
    )
    totals = np.bincount(clusters, weights=differences)
    expected = stats.bootstrap(
        (totals, sizes.astype(float)),
        ratio,
        paired=True,
        vectorized=True,
        confidence_level=0.9,
        n_resamples=200_000,
        batch=20_000,
        method=method,
        rng=rng(3),
    ).confidence_interval
    ours = bca_difference_bounds if method == "BCa" else percentile_difference_bounds
    found = ours(np.zeros(len(differences)), differences, clusters, n_resamples=200_000, rng=rng(4))
    assert found.degenerate is None
    assert found.low == pytest.approx(expected.low, abs=0.002)
    assert found.high == pytest.approx(expected.high, abs=0.002)


def test_the_correction_moves_the_bounds() -> None:
    """So that the comparison above can tell BCa from percentiles: five times its slack."""
    differences = skewed(25, 1)
    plain = percentile_difference_bounds(
        np.zeros(25), differences, np.arange(25), n_resamples=100_000, rng=rng(4)
    )
    corrected = bca(differences, n_resamples=100_000)
    assert corrected.low > plain.low + 0.005
    assert corrected.high > plain.high + 0.01


def test_acceleration_is_a_sixth_of_the_skewness_over_root_n() -> None:
    """For a mean: DiCiccio and Efron 1996, equation 6.4 (skewness / (6 sqrt n))."""
    differences = skewed(40, 5)
    sums = sum_by_cluster(differences, np.arange(40))
    expected = stats.skew(differences) / (6 * np.sqrt(40))
    assert jackknife_acceleration(sums) == pytest.approx(expected, rel=1e-9)


def test_kinds_counted_and_clusters_placed_are_one_distribution() -> None:
    """Two ways of drawing; their first three moments are those of the multinomial."""
    sums = sum_by_cluster(np.repeat([-1.0, 0.0, 1.0], [3, 50, 7]), np.arange(60))
    counted = bootstrap._counted_means(sums, 100_000, rng(1))
    placed = bootstrap._placed_means(sums, 100_000, rng(2))
    assert len(sums.sizes) == 3
    assert counted.mean() == pytest.approx(4 / 60, abs=0.001)
    assert placed.mean() == pytest.approx(4 / 60, abs=0.001)
    variance = (10 / 60 - (4 / 60) ** 2) / 60
    assert counted.var() == pytest.approx(variance, rel=0.02)
    assert placed.var() == pytest.approx(variance, rel=0.02)
    quantiles = [0.05, 0.5, 0.95]
    assert np.quantile(counted, quantiles) == pytest.approx(
        np.quantile(placed, quantiles), abs=0.02
    )


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """No draw holds more than a block: 2,000 resamples of 3,000 clusters in blocks of 30,000."""
    held: list[int] = []
    true = bootstrap._placed_means

    def watch(sums: ClusterSums, n_rows: int, draws: np.random.Generator) -> Float64Array:
        held.append(n_rows * sums.n_clusters)
        return true(sums, n_rows, draws)

    monkeypatch.setattr(bootstrap, "_BLOCK", 30_000)
    monkeypatch.setattr(bootstrap, "_placed_means", watch)
    sums = sum_by_cluster(rng(1).uniform(-1, 1, 3_000), np.arange(3_000))
    assert len(resampled_cluster_means(sums, 2_000, rng())) == 2_000
    assert max(held) <= 30_000
    assert sum(held) == 2_000 * 3_000


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0])
@pytest.mark.parametrize("is_corrected", [True, False])
def test_no_variation_proves_nothing(value: float, *, is_corrected: bool) -> None:
    """0.1 summed over clusters of 1 to 4 queries rounds; it is no variation all the same."""
    clusters = np.repeat(np.arange(8), [1, 2, 3, 4, 1, 2, 3, 4])
    ours = bca_difference_bounds if is_corrected else percentile_difference_bounds
    found = ours(np.zeros(20), np.full(20, value), clusters, rng=rng())
    assert found.degenerate is Degenerate.NO_VARIATION
    assert (found.low, found.high) == (-1.0, 1.0)
    assert found.estimate == pytest.approx(value)


def test_one_cluster_proves_nothing() -> None:
    found = bca(np.array([0.5, 0.7, 0.1]), np.zeros(3, dtype=np.int64))
    assert found.degenerate is Degenerate.NO_VARIATION
    assert (found.low, found.high, found.n_clusters) == (-1.0, 1.0, 1)


def test_an_undefined_correction_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = skewed(20, 2)
    monkeypatch.setattr(bootstrap, "jackknife_acceleration", lambda _: 0.9)
    found = bca(differences)
    plain = percentile_difference_bounds(
        np.zeros(20), differences, np.arange(20), n_resamples=10_000, rng=rng()
    )
    assert found.degenerate is Degenerate.NO_CORRECTION
    assert (found.low, found.high) == (plain.low, plain.high)


def test_order_and_names_do_not_matter() -> None:
    differences, clusters = skewed(30, 3), rng(4).integers(0, 9, 30)
    order = rng(5).permutation(30)
    names = np.array(list("ihgfedcba"))
    other = bca_difference_bounds(
        np.zeros(30), differences[order], names[clusters][order], rng=rng()
    )
    assert bca(differences, clusters) == other


@pytest.mark.parametrize(
    ("level", "n_resamples", "message"),
    [(1.0, 1000, r"in \(0, 1\) but got 1.0"), (0.95, 199, "at least 200 .* but got 199")],
)
def test_settings_are_checked(level: float, n_resamples: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bca(skewed(20, 1), level=level, n_resamples=n_resamples)
