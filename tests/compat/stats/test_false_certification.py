"""The certifier's promise: at the boundary of the null it certifies with at most alpha."""

from __future__ import annotations

import math
from argparse import Namespace

import numpy as np
import pytest

from benchmarks import certification_worlds as worlds
from benchmarks import false_certification as benchmark
from compat.stats import (
    bca_difference_bounds,
    paired_difference_bounds,
    percentile_difference_bounds,
    rate_bounds,
)
from registry.domain.certificates import Criterion, Verdict
from registry.domain.conclusions import decide

ALPHA = 0.05


@pytest.mark.parametrize("sizes", ["single", "fixed", "skewed", "worse_if_large"])
@pytest.mark.parametrize("shape", worlds.SHAPES)
@pytest.mark.parametrize("mean", [-0.05, 0.0])
def test_the_worlds_have_the_mean_they_say(sizes: str, shape: str, mean: float) -> None:
    """Four standard errors of the ratio over 40,000 clusters."""
    world = worlds.make_world(shape, sizes, mean, may_gain=mean == 0)
    sums, counts = worlds.draw(world, 100, 400, np.random.default_rng(1))
    error = np.std(sums - mean * counts) / counts.mean() / math.sqrt(sums.size)
    assert abs(sums.sum() / counts.sum() - mean) <= 4 * error


@pytest.mark.parametrize("sizes", ["single", "skewed"])
def test_the_benchmark_bounds_as_the_library_does(sizes: str) -> None:
    """Batched formulas against the functions that certify, each with 40,000 resamples."""
    world = worlds.make_world("skewed", sizes, -0.1, may_gain=False)
    sums, counts = worlds.draw(world, 3, 30, np.random.default_rng(2))
    rng = np.random.default_rng(3)
    batched = benchmark.lower_bounds(sums, counts, world.largest, 40_000, rng)
    for trial in range(3):
        n = counts[trial].astype(int)
        # each query has the mean of its cluster, which is all that the bounds look at
        data = (np.zeros(n.sum()), np.repeat(sums[trial] / n, n), np.repeat(np.arange(30), n))
        found = {
            "gaffke": paired_difference_bounds(*data, n_resamples=40_000, rng=rng).low,
            "gaffke_largest": paired_difference_bounds(
                *data, largest_cluster=world.largest, n_resamples=40_000, rng=rng
            ).low,
            "bca": bca_difference_bounds(*data, n_resamples=40_000, rng=rng).low,
            "percentile": percentile_difference_bounds(*data, n_resamples=40_000, rng=rng).low,
        }
        for method, low in found.items():
            assert batched[method][trial] == pytest.approx(low, abs=0.006)


def false_rate(world: worlds.World, margin: float, n_units: int, n_trials: int) -> int:
    """Certify fresh samples with the very functions that certify; return how many pass."""
    rng = np.random.default_rng(n_units)
    criterion = Criterion.NON_INFERIORITY if margin else Criterion.SUPERIORITY
    n_passed = 0
    for _ in range(n_trials):
        sums, counts = worlds.draw(world, 1, n_units, rng)
        n = counts[0].astype(int)
        found = paired_difference_bounds(
            np.zeros(n.sum()),
            np.repeat(sums[0] / n, n),
            np.repeat(np.arange(n_units), n),
            n_resamples=600,
            rng=rng,
        )
        verdict = decide(found.low, found.high, criterion=criterion, margin=margin)
        n_passed += verdict is Verdict.COMPATIBLE
    return n_passed


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("shape", worlds.SHAPES)
@pytest.mark.parametrize("sizes", ["single", "fixed"])
@pytest.mark.parametrize("n_units", [10, 100])
def test_gaffke_certifies_falsely_at_most_alpha(
    sizes: str, shape: str, margin: float, n_units: int
) -> None:
    """Equal clusters: the 99.9 % lower bound of the rate over 2,000 samples is at most alpha."""
    world = worlds.make_world(shape, sizes, -margin, may_gain=margin == 0)
    n_passed = false_rate(world, margin, n_units, 2_000)
    assert rate_bounds(n_passed, 2_000, confidence_level=0.999).low <= ALPHA


@pytest.mark.slow
def test_the_simulation_can_fail() -> None:
    """Rare large clusters that fare worse fool the unseen cluster of mean size (ADR 5's limit)."""
    world = worlds.make_world("binary", "worse_if_large", -0.05, may_gain=False)
    n_passed = false_rate(world, 0.05, 100, 500)
    assert rate_bounds(n_passed, 500, confidence_level=0.999).low > 2 * ALPHA


def test_a_small_run_of_the_benchmark_says_which_methods_lie() -> None:
    options = Namespace(margins=[0.05], units=[10], trials=200, resamples=200)
    rows = benchmark.false_certification(options)
    found = benchmark.summary(rows)
    lies = {name for name, figures in found.items() if figures["exceeds"]}
    assert {"t/single", "percentile/single", "bca/single"} <= lies
    assert not any(name.startswith("gaffke_largest") for name in lies)
    assert "gaffke/single" not in lies
    assert len(benchmark.power(options)) == 9
