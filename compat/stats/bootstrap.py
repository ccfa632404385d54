"""Bootstrap bounds for the mean of paired differences of clustered queries.

They are here for comparison and for those who ask for them by name; they do not decide, because
they are too sure of themselves with few or skewed clusters (benchmarks/false_certification.py).

References:
    [1] Efron, "Better bootstrap confidence intervals", JASA 82(397), 1987.
    [2] DiCiccio and Efron, "Bootstrap confidence intervals", Statistical Science 11(3), 1996.
    [3] Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from registry.arrays import Float64Array, LabelArray

from .clusters import ClusterSums, check_level, check_limits, checked_differences, sum_by_cluster

_BLOCK = 2**20  # indices or weights that are held at a time: 8 MiB
_TIE = 1e-12  # what rounding may do to means of differences in [-1, 1]
_NORMAL = NormalDist()


class Degenerate(enum.Enum):
    """Why a bootstrap says less than it was asked to."""

    NO_VARIATION = "no-variation"
    """All clusters have one mean (or there is one cluster), so that resampling shows no width
    where there may be one. The bounds are the limits: they show nothing."""

    NO_CORRECTION = "no-correction"
    """BCa's correction is not defined: all resamples are on one side of the estimate, or the
    acceleration takes the level out of (0, 1). The bounds are the plain percentiles."""


@dataclass(frozen=True, slots=True)
class BootstrapBounds:
    """A mean difference, candidate minus baseline, with one bound on either side.

    Attributes:
        estimate: mean over queries.
        low: lower bound, one-sided at `confidence_level`.
        high: upper bound, one-sided at `confidence_level`.
        confidence_level: of each bound.
        n_clusters: independent units; in two-way resampling the fewer of the two kinds.
        degenerate: why the bounds are not what was asked for; None if they are. A caller that
            decides by them treats NO_VARIATION as inconclusive, or asks Gaffke's bound.
    """

    estimate: float
    low: float
    high: float
    confidence_level: float
    n_clusters: int
    degenerate: Degenerate | None


def bca_difference_bounds(  # noqa: PLR0913 (three arrays and four named settings)
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    *,
    confidence_level: float = 0.95,
    limits: tuple[float, float] = (-1.0, 1.0),
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> BootstrapBounds:
    """Bound the mean of candidate minus baseline by the bias-corrected, accelerated bootstrap.

    Whole clusters are drawn with replacement [3]; the statistic is the ratio of the sum of
    differences to the number of queries; the acceleration is the jackknife's over clusters [1].
    Coverage is approximate, with an error of order 1 / n_clusters [2] and no guarantee for any
    number of clusters. The gallery is fixed.

    Args:
        baseline: metric of each query. Shape: (n_queries,)
        candidate: metric of the same queries in the same order. Shape: (n_queries,)
        clusters: label of the independent unit of each query. Shape: (n_queries,)
        confidence_level: of each bound, in (0, 1).
        limits: the smallest and the largest difference that is possible; bounds that show nothing.
        n_resamples: draws of clusters.
        rng: source of the draws.

    Raises:
        ValueError: if shapes disagree or are empty, a value is NaN or outside the limits, or a
            setting is out of range.
    """
    sums = _checked_sums(baseline, candidate, clusters, limits)
    check_resampling(confidence_level, n_resamples)
    if not varies(sums):
        return nothing_shown(sums, confidence_level, limits)
    means = resampled_cluster_means(sums, n_resamples, rng)
    levels = _corrected_levels(means, sums, confidence_level)
    degenerate = None if levels else Degenerate.NO_CORRECTION
    low, high = np.quantile(means, levels or (1 - confidence_level, confidence_level)).tolist()
    return BootstrapBounds(sums.mean, low, high, confidence_level, sums.n_clusters, degenerate)


def percentile_difference_bounds(  # noqa: PLR0913 (three arrays and four named settings)
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    *,
    confidence_level: float = 0.95,
    limits: tuple[float, float] = (-1.0, 1.0),
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> BootstrapBounds:
    """Bound the mean of candidate minus baseline by quantiles of resampled means.

    As `bca_difference_bounds`, without its corrections: the error of coverage is of order
    1 / sqrt(n_clusters) [2].

    Raises:
        ValueError: as there.
    """
    sums = _checked_sums(baseline, candidate, clusters, limits)
    check_resampling(confidence_level, n_resamples)
    if not varies(sums):
        return nothing_shown(sums, confidence_level, limits)
    means = resampled_cluster_means(sums, n_resamples, rng)
    low, high = np.quantile(means, (1 - confidence_level, confidence_level)).tolist()
    return BootstrapBounds(sums.mean, low, high, confidence_level, sums.n_clusters, None)


def resampled_cluster_means(
    sums: ClusterSums, n_resamples: int, rng: np.random.Generator
) -> Float64Array:
    """Return means over clusters drawn with replacement. Shape: (n_resamples,).

    Where many clusters are equal it is drawn how often each kind occurs (a multinomial), otherwise
    which cluster stands in each place; the distribution is the same.
    """
    has_few_kinds = len(sums.sizes) <= sums.n_clusters // 8
    means = np.empty(n_resamples)
    n_rows = max(1, _BLOCK // (len(sums.sizes) if has_few_kinds else sums.n_clusters))
    for start in range(0, n_resamples, n_rows):
        stop = min(start + n_rows, n_resamples)
        draw = _counted_means if has_few_kinds else _placed_means
        means[start:stop] = draw(sums, stop - start, rng)
    return means


def _counted_means(sums: ClusterSums, n_rows: int, rng: np.random.Generator) -> Float64Array:
    shares = sums.repeats / sums.repeats.sum()
    weights = rng.multinomial(sums.n_clusters, shares, size=n_rows).astype(np.float64)
    means: Float64Array = (weights @ sums.differences) / (weights @ sums.sizes)
    return means


def _placed_means(sums: ClusterSums, n_rows: int, rng: np.random.Generator) -> Float64Array:
    kinds = np.repeat(np.arange(len(sums.sizes)), sums.repeats.astype(np.int64))
    places = rng.integers(0, sums.n_clusters, (n_rows, sums.n_clusters))
    totals = sums.differences[kinds].take(places).sum(axis=1)
    if np.all(sums.sizes == sums.sizes[0]):
        sizes: Float64Array | float = float(sums.sizes[0]) * sums.n_clusters
    else:
        sizes = sums.sizes[kinds].take(places).sum(axis=1)
    means: Float64Array = totals / sizes
    return means


def _corrected_levels(
    means: Float64Array, sums: ClusterSums, confidence_level: float
) -> tuple[float, float] | None:
    """Return which quantiles are the BCa bounds: equation 2.3 of [2]. None if undefined."""
    # ties, up to rounding, count half, as scipy.stats.bootstrap has them
    below = np.count_nonzero(means < sums.mean - _TIE) + np.count_nonzero(means <= sums.mean + _TIE)
    share = below / (2 * len(means))
    if not 0 < share < 1:
        return None
    bias, acceleration = _NORMAL.inv_cdf(share), jackknife_acceleration(sums)
    levels = []
    for level in (1 - confidence_level, confidence_level):
        moved = bias + _NORMAL.inv_cdf(level)
        if acceleration * moved >= 1:
            return None
        levels.append(_NORMAL.cdf(bias + moved / (1 - acceleration * moved)))
    return levels[0], levels[1]


def jackknife_acceleration(sums: ClusterSums) -> float:
    """Return the acceleration, from means that leave out one cluster each: equation 6.6 of [2]."""
    total, n_queries = sums.repeats @ sums.differences, sums.repeats @ sums.sizes
    without = (total - sums.differences) / (n_queries - sums.sizes)
    pull = (sums.repeats @ without) / sums.n_clusters - without
    return float((sums.repeats @ pull**3) / (6 * (sums.repeats @ pull**2) ** 1.5))


def varies(sums: ClusterSums) -> bool:
    """Return whether clusters have different means, up to rounding."""
    means = sums.differences / sums.sizes
    return bool(np.ptp(means) > _TIE)


def nothing_shown(
    sums: ClusterSums, confidence_level: float, limits: tuple[float, float]
) -> BootstrapBounds:
    """Return the limits as bounds."""
    low, high = map(float, limits)
    return BootstrapBounds(
        sums.mean, low, high, confidence_level, sums.n_clusters, Degenerate.NO_VARIATION
    )


def check_resampling(confidence_level: float, n_resamples: int) -> None:
    """Refuse a level or a number of resamples that gives no quantile.

    Raises:
        ValueError: naming the value and the rule.
    """
    check_level(confidence_level)
    needed = int(np.ceil(10 / min(confidence_level, 1 - confidence_level) - 1e-9))
    if n_resamples < needed:
        raise ValueError(
            f"n_resamples must be at least {needed} for confidence_level {confidence_level} "
            f"but got {n_resamples}"
        )


def _checked_sums(
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    limits: tuple[float, float],
) -> ClusterSums:
    differences = checked_differences(baseline, candidate, clusters)
    check_limits(differences, limits)
    return sum_by_cluster(differences, clusters)
