from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multinomial

from compat.stats import DifferenceBounds, bounds, paired_difference_bounds
from compat.stats.clusters import sum_by_cluster
from registry.arrays import Float64Array, Int64Array


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def bound_differences(
    differences: Float64Array,
    clusters: Int64Array | None = None,
    *,
    level: float = 0.95,
    limits: tuple[float, float] = (-1.0, 1.0),
    n_resamples: int = 4000,
    seed: int = 0,
) -> DifferenceBounds:
    labels = np.arange(len(differences)) if clusters is None else clusters
    return paired_difference_bounds(
        np.zeros(len(differences)),
        differences,
        labels,
        confidence_level=level,
        limits=limits,
        n_resamples=n_resamples,
        rng=rng(seed),
    )


def successes(k: int, n: int) -> Float64Array:
    return np.repeat([1.0, 0.0], [k, n - k])


# --- two-valued differences of single queries: Clopper and Pearson


@pytest.mark.parametrize(
    ("k", "n"), [(0, 1), (1, 1), (3, 8), (0, 30), (17, 30), (30, 30), (90, 99)]
)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_single_binary_queries_give_clopper_pearson(k: int, n: int, level: float) -> None:
    found = bound_differences(successes(k, n), level=level, limits=(0.0, 1.0), n_resamples=400_000)
    low = binomtest(k, n, alternative="greater").proportion_ci(level, method="exact").low
    high = binomtest(k, n, alternative="less").proportion_ci(level, method="exact").high
    assert found.low == pytest.approx(low, abs=0.003)
    assert found.high == pytest.approx(high, abs=0.003)
    assert found.estimate == pytest.approx(k / n)


@pytest.mark.parametrize("n", [4, 12, 30])
def test_exact_coverage_by_enumeration(n: int) -> None:
    """Sum the binomial mass where the bound covers; no simulated data, so no tolerance for them.

    A bound is allowed four standard errors of a quantile from 100,000 resamples, 0.0028 at the
    flattest density here.
    """
    lows = [
        bound_differences(successes(k, n), limits=(0.0, 1.0), n_resamples=100_000, seed=k).low
        for k in range(n + 1)
    ]
    assert lows == sorted(lows)
    k = np.arange(n + 1)
    slack = 0.0028
    for p in np.linspace(0.01, 0.99, 99):
        covers = np.array(lows) <= p + slack
        assert binom.pmf(k, n, p)[covers].sum() >= 0.95
    vacuous = [p for p in np.linspace(0.3, 0.9, 61) if min(lows[-2:]) < p - slack]
    worst = min(binom.pmf(k, n, p)[np.array(lows) <= p].sum() for p in np.linspace(0.3, 0.9, 61))
    assert vacuous
    assert worst < 0.985  # the bound is not just very low


# --- the method itself


def test_pairing_sorted_values_with_sorted_uniforms_is_the_same() -> None:
    """Learned-Miller and Thomas write the bound m(x, u) = 1 - sum u_(i) (x_(i+1) - x_(i))."""
    values = np.sort(rng(5).random(9))
    sorted_uniforms = np.sort(rng(6).random((400_000, 9)), axis=1)
    steps = np.diff(values, append=1.0)
    as_published = np.quantile(1.0 - sorted_uniforms @ steps, 0.9)
    found = bound_differences(values, level=0.9, limits=(0.0, 1.0), n_resamples=400_000)
    assert found.high == pytest.approx(as_published, abs=0.002)


def test_equals_a_loop_over_resamples() -> None:
    """Unequal clusters, some of them alike, against the formula in plain Python."""
    groups = [[0.5, -0.25], [1.0], [1.0], [0.0, 0.0, -1.0], [1.0], [0.25, 0.25, 0.25, 0.25]]
    differences = np.array([d for group in groups for d in group])
    clusters = np.repeat(np.arange(6), [len(group) for group in groups])
    mean_size = len(differences) / len(groups)
    draws = rng(1)
    lows, highs = [], []
    for _ in range(40_000):
        unseen, *weights = draws.dirichlet(np.ones(len(groups) + 1)).tolist()
        pairs = list(zip(weights, groups, strict=True))
        top = sum(w * sum(group) for w, group in pairs)
        bottom = sum(w * len(group) for w, group in pairs) + unseen * mean_size
        lows.append((top - unseen * mean_size) / bottom)
        highs.append((top + unseen * mean_size * 2.0) / bottom)
    found = bound_differences(differences * 0.5, clusters, limits=(-0.5, 1.0), n_resamples=200_000)
    assert found.low == pytest.approx(np.quantile(lows, 0.05) / 2, abs=0.005)
    assert found.high == pytest.approx(np.quantile(highs, 0.95) / 2, abs=0.005)
    assert (found.n_queries, found.n_clusters) == (12, 6)
    assert found.estimate == pytest.approx(differences.mean() / 2)


def test_the_bound_is_a_conservative_order_statistic() -> None:
    """Rank floor(0.05 * 201) = 10 of 200 resamples, from either end."""
    differences = rng(2).uniform(-1, 1, 15)
    found = bound_differences(differences, n_resamples=200, seed=3)
    sums = sum_by_cluster(differences, np.arange(15))
    low, high = bounds.resampled_means(sums, (-1.0, 1.0), 200, rng(3), unseen_size=1.0)
    assert sums.n_clusters == 15
    assert found.low == np.sort(low)[9]
    assert found.high == np.sort(high)[-10]


def test_sums_do_not_round_with_the_order_of_queries() -> None:
    ascending = np.array([0.1, 0.2, 0.3])
    assert sum(ascending.tolist()) != sum(ascending[::-1].tolist())
    one = sum_by_cluster(ascending, np.zeros(3))
    other = sum_by_cluster(ascending[::-1], np.zeros(3))
    assert one.differences.tolist() == other.differences.tolist()


def test_blocks_of_resamples_are_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is held at a time changes no draw of a cluster's weight, only their grouping."""
    differences = rng(2).uniform(-1, 1, 15)
    whole = bound_differences(differences, n_resamples=20_000)
    monkeypatch.setattr(bounds, "_BLOCK", 150)
    in_blocks = bound_differences(differences, n_resamples=20_000)
    assert in_blocks.low == pytest.approx(whole.low, abs=0.01)
    assert in_blocks.high == pytest.approx(whole.high, abs=0.01)


# --- what it must and must not say


@pytest.mark.parametrize("n_clusters", [5, 50, 500])
def test_no_variation_is_not_certainty(n_clusters: int) -> None:
    """All differences 0: about 3 / C, the rule of three, not a bound of zero width."""
    found = bound_differences(np.zeros(n_clusters), n_resamples=100_000)
    exact = 1 - 0.05 ** (1 / n_clusters)
    assert found.estimate == 0.0
    assert found.low == pytest.approx(-exact, rel=0.03)
    assert found.high == pytest.approx(exact, rel=0.03)


def test_many_queries_of_one_cluster_are_one_observation() -> None:
    single = bound_differences(np.array([0.5, 0.1, 0.3]), n_resamples=50_000)
    repeated = bound_differences(
        np.repeat([0.5, 0.1, 0.3], 40), np.repeat(np.arange(3), 40), n_resamples=50_000
    )
    assert repeated.low == pytest.approx(single.low, abs=0.01)
    assert repeated.n_clusters == 3
    assert repeated.n_queries == 120
    as_if_independent = bound_differences(np.repeat([0.5, 0.1, 0.3], 40))
    assert as_if_independent.low > repeated.low + 0.2


def clustered_coverage(*, by_cluster: bool) -> float:
    """Return how often the lower bound covers, for 12 classes of 1 to 9 queries that go together.

    A class goes up (+1, probability 0.3), down (-1, 0.2) or nowhere, and each of its queries
    follows with probability 0.9; the true mean is 0.9 * 0.1 = 0.09.
    """
    draws, n_covered, n_trials = rng(11), 0, 600
    for trial in range(n_trials):
        sizes = draws.integers(1, 10, 12)
        clusters = np.repeat(np.arange(12), sizes)
        direction = draws.choice([1.0, -1.0, 0.0], 12, p=[0.3, 0.2, 0.5])
        differences = direction[clusters] * (draws.random(len(clusters)) < 0.9)
        labels = clusters if by_cluster else np.arange(len(clusters))
        found = bound_differences(differences, labels, n_resamples=1000, seed=trial)
        n_covered += found.low <= 0.09
    return n_covered / n_trials


def test_coverage_of_small_clustered_data() -> None:
    two_errors = 2 * math.sqrt(0.05 * 0.95 / 600)
    assert clustered_coverage(by_cluster=True) >= 0.95 - two_errors
    assert clustered_coverage(by_cluster=False) < 0.88  # so the test can fail


def lost_clusters(n_lost: int, n_clusters: int, size: int) -> tuple[Float64Array, Int64Array]:
    """Return differences and labels: clusters of `size` queries that lose all, others of one."""
    sizes = np.repeat([size, 1], [n_lost, n_clusters - n_lost])
    return np.repeat([-1.0, 0.0], [n_lost * size, n_clusters - n_lost]), np.repeat(
        np.arange(n_clusters), sizes
    )


@pytest.mark.parametrize(("largest", "worst"), [(None, 0.32), (10.0, 0.95)])
def test_coverage_where_large_clusters_fare_worse(largest: float | None, worst: float) -> None:
    """30 clusters, enumerated: a share q of size 10 loses, the rest, of size 1, stays as it was.

    The number of lost clusters is binomial and the true mean -10 q / (1 + 9 q). The unseen cluster
    of mean size is fooled by those who have not met a large one: the known limit of the default.
    With the largest size there can be it is Clopper and Pearson's bound of q, mapped.
    """
    lows = []
    for k in range(31):
        differences, clusters = lost_clusters(k, 30, 10)
        found = paired_difference_bounds(
            np.zeros(len(differences)),
            differences,
            clusters,
            largest_cluster=largest,
            n_resamples=50_000,
            rng=rng(k),
        )
        lows.append(found.low)
    shares = np.linspace(0.002, 0.98, 400)
    coverage = [
        binom.pmf(np.arange(31), 30, q)[np.array(lows) <= -10 * q / (1 + 9 * q) + 0.004].sum()
        for q in shares
    ]
    if largest is None:
        assert min(coverage) < worst
    else:
        assert min(coverage) >= worst


def test_the_largest_cluster_is_the_size_of_the_unseen_one() -> None:
    """All of 20 clusters of 1 unchanged: W_0 N / (W_0 N + 1 - W_0), W_0 = 1 - 0.05 ** (1 / 20)."""
    unseen = 1 - 0.05 ** (1 / 20)
    found = paired_difference_bounds(
        np.zeros(20), np.zeros(20), np.arange(20), largest_cluster=5, n_resamples=200_000, rng=rng()
    )
    assert found.low == pytest.approx(-5 * unseen / (5 * unseen + 1 - unseen), rel=0.02)
    with pytest.raises(ValueError, match="largest_cluster must be finite and at least 2"):
        paired_difference_bounds(
            np.zeros(2), np.zeros(2), np.zeros(2), largest_cluster=1, rng=rng()
        )


@pytest.mark.parametrize("n", [3, 6, 10])
def test_exact_coverage_of_gains_and_losses_by_enumeration(n: int) -> None:
    """Three-valued differences, where the bound is a conjecture: all outcomes, a grid of rates."""
    outcomes = [(b, c) for b in range(n + 1) for c in range(n + 1 - b)]
    lows = np.array(
        [
            bound_differences(
                np.repeat([1.0, -1.0, 0.0], [b, c, n - b - c]), n_resamples=20_000
            ).low
            for b, c in outcomes
        ]
    )
    counts = [(b, c, n - b - c) for b, c in outcomes]
    slack = 0.006  # four standard errors of a quantile from 100,000 resamples
    for gain, loss in itertools.product(np.linspace(0, 1, 26), repeat=2):
        if gain + loss <= 1:
            mass = multinomial.pmf(counts, n, [gain, loss, max(0.0, 1 - gain - loss)])
            assert mass[lows <= gain - loss + slack].sum() >= 0.95


small_differences = st.lists(
    st.tuples(st.sampled_from([-1.0, -0.7, 0.0, 0.1, 0.2, 0.3, 1.0]), st.integers(0, 4)),
    min_size=1,
    max_size=12,
)


@given(small_differences, st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_order_and_names_do_not_matter(items: list[tuple[float, int]], seed: int) -> None:
    differences = np.array([d for d, _ in items])
    clusters = np.array([c for _, c in items])
    order = rng(seed).permutation(len(items))
    names = np.array(["e", "d", "c", "b", "a"])
    one = bound_differences(differences, clusters, n_resamples=300)
    other = paired_difference_bounds(
        np.zeros(len(items)), differences[order], names[clusters][order], n_resamples=300, rng=rng()
    )
    assert one == other


@given(small_differences)
@settings(max_examples=30, deadline=None)
def test_a_higher_level_gives_wider_bounds(items: list[tuple[float, int]]) -> None:
    differences = np.array([d for d, _ in items])
    clusters = np.array([c for _, c in items])
    levels = [0.5, 0.8, 0.9, 0.95]
    found = [bound_differences(differences, clusters, level=q, n_resamples=500) for q in levels]
    lows, highs = [f.low for f in found], [f.high for f in found]
    assert lows == sorted(lows, reverse=True)
    assert highs == sorted(highs)
    assert all(-1 <= f.low <= f.high <= 1 for f in found)
    assert found[-1].low <= found[-1].estimate + 1e-12
    assert found[-1].high >= found[-1].estimate - 1e-12


def test_exchanging_the_models_mirrors_the_bounds() -> None:
    draws = rng(4)
    baseline, candidate = draws.random(60), draws.random(60)
    clusters = np.arange(60) // 3
    one = paired_difference_bounds(baseline, candidate, clusters, n_resamples=200_000, rng=rng(1))
    other = paired_difference_bounds(candidate, baseline, clusters, n_resamples=200_000, rng=rng(2))
    assert one.estimate == -other.estimate
    assert one.low == pytest.approx(-other.high, abs=0.003)
    assert one.high == pytest.approx(-other.low, abs=0.003)


def test_more_success_gives_a_higher_bound() -> None:
    lows = [
        bound_differences(successes(k, 20), limits=(0, 1), n_resamples=50_000).low
        for k in range(21)
    ]
    assert all(b > a for a, b in itertools.pairwise(lows))


def test_the_generator_decides() -> None:
    differences = rng(2).uniform(-1, 1, 15)
    assert bound_differences(differences, seed=1) == bound_differences(differences, seed=1)
    assert bound_differences(differences, seed=1) != bound_differences(differences, seed=2)


def test_inputs_are_not_written_and_the_result_is_frozen() -> None:
    arrays = (np.zeros(5), np.full(5, 0.5), np.arange(5))
    for array in arrays:
        array.flags.writeable = False
    found = paired_difference_bounds(*arrays, rng=rng())
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.low = 1.0  # type: ignore[misc]


# --- errors


@pytest.mark.parametrize(
    ("baseline", "candidate", "clusters", "message"),
    [
        ([0.0], [0.0, 1.0], [0, 1], r"\(1,\), \(2,\), \(2,\)"),
        ([0.0, 1.0], [0.0, 1.0], [0], r"\(2,\), \(2,\), \(1,\)"),
        ([], [], [], "not empty"),
        ([[0.0]], [[0.0]], [[0]], "1-d"),
        ([0.0, np.nan], [0.0, 1.0], [0, 1], "but 1 are NaN or infinite"),
        ([0.0, -0.5], [0.0, 1.0], [0, 1], r"limits \(-1.0, 1.0\) but lie in \[0.0, 1.5\]"),
        ([0.0, 1.5], [0.0, 0.0], [0, 1], r"but lie in \[-1.5, 0.0\]"),
    ],
)
def test_arrays_are_checked(
    baseline: list[float], candidate: list[float], clusters: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paired_difference_bounds(
            np.array(baseline), np.array(candidate), np.array(clusters), rng=rng()
        )


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_level_is_checked(level: float) -> None:
    with pytest.raises(ValueError, match=r"confidence_level must be in \(0, 1\)"):
        bound_differences(np.zeros(3), level=level)


def test_enough_resamples_are_needed() -> None:
    with pytest.raises(ValueError, match=r"at least 1000 for confidence_level 0\.99 but got 900"):
        bound_differences(np.zeros(3), level=0.99, n_resamples=900)
    bound_differences(np.zeros(3), level=0.99, n_resamples=1000)


@pytest.mark.parametrize("limits", [(1.0, -1.0), (0.0, 0.0), (-math.inf, 1.0), (math.nan, 1.0)])
def test_limits_are_checked(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="limits must be finite and ascend"):
        bound_differences(np.zeros(3), limits=limits)
