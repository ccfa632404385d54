"""How often the gate passes what it must not, and how often it passes what it should.

Samples are drawn at the boundary of the null hypothesis (the true mean difference is exactly minus
the margin, or 0 for superiority), bounded by several methods, and put before the rule that decides:
Gaffke's bound with an unseen cluster of mean size (until ADR 10), of the largest size there is, and
over the means of clusters (the two means agree unless size tells of the outcome); the BCa and the
percentile bootstrap; the t-interval.

A rate above alpha is a gate that lies. The power is that at no difference.

Usage: python -m benchmarks.false_certification [--trials 2000] [--units 10 30 100 300]
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict
from itertools import product
from typing import TypedDict

import numpy as np
from scipy.stats import norm, t

from benchmarks.certification_worlds import SHAPES, SIZES, World, draw, make_world
from benchmarks.measuring import report
from compat.stats.binomial import rate_bounds
from registry.arrays import Float64Array, Int64Array
from registry.domain.certificates import Criterion, Verdict
from registry.domain.conclusions import decide

ALPHA = 0.05
BLOCK = 100  # trials that share their resampling weights
METHODS = ("gaffke", "gaffke_largest", "gaffke_macro", "bca", "percentile", "t")


class Rates(TypedDict):
    """How often each method certified falsely in one setting, and which ones lied."""

    margin: float
    shape: str
    sizes: str
    n_units: int
    rate: dict[str, float]
    exceeds: list[str]


class Figures(TypedDict):
    """In how many settings of all a method lied, and the worst it did."""

    exceeds: int
    of: int
    worst_rate: float
    worst_at: dict[str, object]


def lower_bounds(
    sums: Float64Array,
    sizes: Float64Array,
    largest: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Float64Array]:
    """Return the lower bound of each trial by each method: the formulas of compat.stats, batched.

    `tests/compat/stats/test_false_certification.py` compares them with the functions themselves.
    """
    bounds = _gaffke(sums, sizes, largest, n_resamples, rng)
    macro = _gaffke(sums / sizes, np.ones(sizes.shape), 1, n_resamples, rng)
    bounds["gaffke_macro"] = macro["gaffke"]
    bounds |= _bootstraps(sums, sizes, n_resamples, rng)
    bounds["t"] = _t_interval(sums, sizes)
    return bounds


def _gaffke(
    sums: Float64Array,
    sizes: Float64Array,
    largest: int,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, Float64Array]:
    rank = math.floor(ALPHA * (n_resamples + 1) + 1e-9)
    weights = rng.standard_exponential((n_resamples, sums.shape[1])).T
    unseen = rng.standard_exponential(n_resamples)
    totals, counts = sums @ weights, sizes @ weights
    bounds = {}
    for name, size in (
        ("gaffke", sizes.mean(axis=1, keepdims=True)),
        ("gaffke_largest", np.full((len(sizes), 1), float(largest))),
    ):
        means = (totals - size * unseen) / (counts + size * unseen)
        bounds[name] = np.partition(means, rank - 1, axis=1)[:, rank - 1]
    return bounds


def _bootstraps(
    sums: Float64Array, sizes: Float64Array, n_resamples: int, rng: np.random.Generator
) -> dict[str, Float64Array]:
    n_units = sums.shape[1]
    weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_resamples).T
    means = np.sort((sums @ weights) / (sizes @ weights), axis=1)
    total, count = sums.sum(axis=1, keepdims=True), sizes.sum(axis=1, keepdims=True)
    estimate = total / count
    ties = 1e-12
    below = np.mean(means < estimate - ties, axis=1) + np.mean(means <= estimate + ties, axis=1)
    bias = norm.ppf(below / 2)
    without = (total - sums) / (count - sizes)
    pull = without.mean(axis=1, keepdims=True) - without
    with np.errstate(invalid="ignore"):
        acceleration = np.sum(pull**3, axis=1) / (6 * np.sum(pull**2, axis=1) ** 1.5)
        moved = bias + norm.ppf(ALPHA)
        level = norm.cdf(bias + moved / (1 - acceleration * moved))
    varies = np.ptp(sums / sizes, axis=1) > ties
    plain = _quantile(means, np.full(len(means), ALPHA))
    corrected = _quantile(means, np.where(varies, level, ALPHA))
    return {
        "bca": np.where(varies, corrected, -1.0),
        "percentile": np.where(varies, plain, -1.0),
    }


def _quantile(ascending: Float64Array, levels: Float64Array) -> Float64Array:
    """Return one quantile a row, between order statistics as NumPy has it."""
    place = levels * (ascending.shape[1] - 1)
    low = np.minimum(place.astype(np.int64), ascending.shape[1] - 2)
    rows: Int64Array = np.arange(len(ascending))
    first, second = ascending[rows, low], ascending[rows, low + 1]
    found: Float64Array = first + (place - low) * (second - first)
    return found


def _t_interval(sums: Float64Array, sizes: Float64Array) -> Float64Array:
    """Return the textbook bound; where nothing varies it has no width, which is its flaw."""
    n_units = sums.shape[1]
    mean = sums.sum(axis=1, keepdims=True) / sizes.sum(axis=1, keepdims=True)
    pull = (sums - mean * sizes) / sizes.mean(axis=1, keepdims=True)
    error = np.sqrt(np.sum(pull**2, axis=1) / (n_units - 1) / n_units)
    found: Float64Array = mean[:, 0] - t.ppf(1 - ALPHA, n_units - 1) * error
    return found


def certified(
    world: World, margin: float, n_units: int, n_trials: int, n_resamples: int, seed: int
) -> dict[str, int]:
    """Return how many trials each method certifies."""
    rng = np.random.default_rng(seed)
    criterion = Criterion.NON_INFERIORITY if margin else Criterion.SUPERIORITY
    # where size tells of the outcome, the mean over clusters is another than that over queries
    methods = [m for m in METHODS if (m, world.sizes) != ("gaffke_macro", "worse_if_large")]
    counts = dict.fromkeys(methods, 0)
    for start in range(0, n_trials, BLOCK):
        sums, sizes = draw(world, min(BLOCK, n_trials - start), n_units, rng)
        bounds = lower_bounds(sums, sizes, world.largest, n_resamples, rng)
        for method in methods:
            # the upper bound only tells INCOMPATIBLE from INCONCLUSIVE
            verdicts = [
                decide(low, 1.0, criterion=criterion, margin=margin) for low in bounds[method]
            ]
            counts[method] += verdicts.count(Verdict.COMPATIBLE)
    return counts


def best_power(world: World, margin: float, n_units: int, rng: np.random.Generator) -> float:
    """Return the power of the best test that knows more than one can.

    For 0/-1 differences the most powerful randomised exact test: nothing is lost in n units with
    probability (1 - margin)^n at the boundary. Otherwise the z-test with the true variance.
    """
    if world.shape == "binary" and world.lost == 0:
        return min(1.0, ALPHA / (1 - margin) ** n_units)
    sums, sizes = draw(world, 200, 300, rng)
    sd = float(np.std(sums - world.mean * sizes) / sizes.mean())
    return float(norm.cdf(margin * math.sqrt(n_units) / sd - norm.ppf(1 - ALPHA)))


def false_certification(options: argparse.Namespace) -> list[Rates]:
    """Return the rates at the boundary; `exceeds` where the 99 % bound is above alpha."""
    rows: list[Rates] = []
    margins = [*options.margins, 0.0]
    for i, (margin, shape, sizes, n_units) in enumerate(
        product(margins, SHAPES, SIZES, options.units)
    ):
        world = make_world(shape, sizes, -margin, may_gain=margin == 0)
        counts = certified(world, margin, n_units, options.trials, options.resamples, i)
        rates = {
            method: asdict(rate_bounds(count, options.trials, confidence_level=0.99))
            for method, count in counts.items()
        }
        rows.append(
            {
                "margin": margin,
                "shape": shape,
                "sizes": sizes,
                "n_units": n_units,
                "rate": {m: round(r["estimate"], 4) for m, r in rates.items()},
                "exceeds": [m for m, r in rates.items() if r["low"] > ALPHA],
            }
        )
    return rows


def power(options: argparse.Namespace) -> list[dict[str, object]]:
    """Return how often no difference is shown to be no worse than the margin."""
    rows: list[dict[str, object]] = []
    for i, (margin, shape, sizes, n_units) in enumerate(
        product(options.margins, SHAPES, ("single", "fixed", "skewed"), options.units)
    ):
        world = make_world(shape, sizes, 0.0, may_gain=False)
        counts = certified(world, margin, n_units, options.trials, options.resamples, 10_000 + i)
        best = best_power(world, margin, n_units, np.random.default_rng(i))
        rows.append(
            {
                "margin": margin,
                "shape": shape,
                "sizes": sizes,
                "n_units": n_units,
                "best": round(best, 4),
                "power": {m: round(count / options.trials, 4) for m, count in counts.items()},
            }
        )
    return rows


def summary(rows: list[Rates]) -> dict[str, Figures]:
    """Return, by method and kind of clusters, how many settings exceed alpha, and the worst."""
    found: dict[str, Figures] = {}
    for method, sizes in product(METHODS, SIZES):
        chosen = [row for row in rows if row["sizes"] == sizes]
        if method not in chosen[0]["rate"]:
            continue
        worst = max(chosen, key=lambda row: row["rate"][method])
        found[f"{method}/{sizes}"] = {
            "exceeds": sum(method in row["exceeds"] for row in chosen),
            "of": len(chosen),
            "worst_rate": worst["rate"][method],
            "worst_at": {
                "margin": worst["margin"],
                "shape": worst["shape"],
                "n_units": worst["n_units"],
            },
        }
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=2_000)
    parser.add_argument("--resamples", type=int, default=1_000)
    parser.add_argument("--units", type=int, nargs="+", default=[10, 30, 100, 300])
    parser.add_argument("--margins", type=float, nargs="+", default=[0.01, 0.02, 0.05])
    parser.add_argument("--name", default="false_certification")
    options = parser.parse_args()
    began = time.perf_counter()
    rows = false_certification(options)
    powers = power(options)
    report(
        options.name,
        {
            "alpha": ALPHA,
            "trials": options.trials,
            "resamples": options.resamples,
            "exceeds": "the 99 % one-sided lower Monte-Carlo bound of the rate is above alpha",
            "summary": summary(rows),
            "false_certification": rows,
            "power_at_no_difference": powers,
            "seconds": time.perf_counter() - began,
        },
    )


if __name__ == "__main__":
    main()
