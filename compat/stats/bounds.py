"""Confidence bounds for the mean of paired differences of clustered queries.

References:
    [1] Gaffke, "Three test statistics for a nonparametric one-sided hypothesis on the mean of a
        nonnegative variable", Mathematical Methods of Statistics 14(4), 2005.
    [2] Learned-Miller and Thomas, "A new confidence interval for the mean of a bounded random
        variable", arXiv:1905.06208, 2019.
    [3] Rubin, "The Bayesian bootstrap", Annals of Statistics 9(1), 1981.
    [4] Davison and Hinkley, "Bootstrap methods and their application", 1997, section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array, LabelArray

from .clusters import ClusterSums, check_level, check_limits, checked_differences, sum_by_cluster

_BLOCK = 2**20  # weights that are held at a time: 8 MiB
_SMALLEST_RANK = 10  # of the order statistic that is the bound


@dataclass(frozen=True, slots=True)
class DifferenceBounds:
    """A mean difference, candidate minus baseline, with one bound on either side.

    Attributes:
        estimate: mean over queries.
        low: lower bound, one-sided at `confidence_level`.
        high: upper bound, one-sided at `confidence_level`; the two together are an interval of
            level ``2 * confidence_level - 1``.
        confidence_level: of each bound.
        n_queries: queries.
        n_clusters: independent units among them.
    """

    estimate: float
    low: float
    high: float
    confidence_level: float
    n_queries: int
    n_clusters: int


def paired_difference_bounds(  # noqa: PLR0913 (three arrays and five named settings)
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    *,
    confidence_level: float = 0.95,
    limits: tuple[float, float] = (-1.0, 1.0),
    largest_cluster: float | None = None,
    n_resamples: int = 20_000,
    rng: np.random.Generator,
) -> DifferenceBounds:
    """Bound the mean of candidate minus baseline from below and from above.

    Each cluster c of n_c queries whose differences sum to S_c gets a random weight, and so does
    one cluster more that nobody has seen: it has the mean size n and the worst difference there
    can be, the lower limit L. With W uniform on the simplex, Dirichlet(1, ..., 1) [3],

        mean(W) = (W_0 n L + sum_c W_c S_c) / (W_0 n + sum_c W_c n_c),

    and the lower bound is its (1 - confidence_level) quantile; the upper bound is the mirror
    image with the upper limit. With clusters of one query this is Gaffke's bound [1, 2], and for
    two-valued differences it is exactly that of Clopper and Pearson. [2] pairs sorted values with
    the spacings of sorted uniforms; spacings are exchangeable, so no order is needed here. The
    unseen cluster keeps the bound honest where nothing varies: if all of C single queries differ
    by 0, the lower bound is L (1 - (1 - confidence_level)^(1 / C)), about 3 L / C at 0.95.

    What is assumed: the clusters are independent draws from one population, and only they; within
    a cluster anything goes. The gallery is fixed: nothing is said of another one. Coverage is
    proved for two-valued differences of single queries; in general it is a conjecture without a
    known counterexample [2], and with clusters of unequal size the mean is a ratio, for which the
    method is an approximation that improves with the number of clusters. It fails where rare
    large clusters fare worse than the many small ones: none may have been seen, and the unseen
    one is taken to be of mean size. With `largest_cluster` N it has that size instead. Then the
    lower bound exceeds m exactly if Gaffke's bound of the mean of S_c - m n_c, which is at least
    (L - m) N, exceeds 0, so that unequal clusters rest on the same conjecture as equal ones.

    Resampling does not cost coverage: the bound is the order statistic of rank
    floor((1 - confidence_level) (n_resamples + 1)) from the outside, with which a test by
    simulation is exact, on average over the simulation [4]. The result depends on `rng` and
    neither on the order of the queries nor on the names of the clusters.

    Args:
        baseline: metric of each query. Shape: (n_queries,)
        candidate: metric of the same queries in the same order. Shape: (n_queries,)
        clusters: label of the independent unit of each query. Shape: (n_queries,)
        confidence_level: of each bound, in (0, 1).
        limits: the smallest and the largest difference that is possible.
        largest_cluster: the most queries that any cluster of the population has; None takes the
            mean size of those that were seen.
        n_resamples: draws of W; more make the bounds vary less with `rng`.
        rng: source of the weights.

    Raises:
        ValueError: if shapes disagree or are empty, a value is NaN or outside the limits, or a
            setting is out of range.
    """
    differences = checked_differences(baseline, candidate, clusters)
    rank = _checked_rank(confidence_level, n_resamples)
    check_limits(differences, limits)
    sums = sum_by_cluster(differences, clusters)
    size = unseen_size(largest_cluster, sums)
    low, high = resampled_means(sums, limits, n_resamples, rng, unseen_size=size)
    return DifferenceBounds(
        estimate=math.fsum(differences) / len(differences),
        low=float(np.partition(low, rank - 1)[rank - 1]),
        high=float(np.partition(high, n_resamples - rank)[n_resamples - rank]),
        confidence_level=confidence_level,
        n_queries=len(differences),
        n_clusters=sums.n_clusters,
    )


def resampled_means(
    sums: ClusterSums,
    limits: tuple[float, float],
    n_resamples: int,
    rng: np.random.Generator,
    *,
    unseen_size: float,
) -> tuple[Float64Array, Float64Array]:
    """Return resampled means with the unseen cluster at the lower and at the upper limit."""
    low, high = np.empty(n_resamples), np.empty(n_resamples)
    n_rows = max(1, _BLOCK // len(sums.sizes))
    for start in range(0, n_resamples, n_rows):
        stop = min(start + n_rows, n_resamples)
        # exponentials divided by their sum are Dirichlet(1, ..., 1); a ratio needs no division
        weights = _weights(sums.repeats, stop - start, rng)
        unseen = unseen_size * rng.standard_exponential(stop - start)
        seen, total = weights @ sums.differences, weights @ sums.sizes + unseen
        low[start:stop] = (seen + unseen * limits[0]) / total
        high[start:stop] = (seen + unseen * limits[1]) / total
    return low, high


def _weights(repeats: Float64Array, n_rows: int, rng: np.random.Generator) -> Float64Array:
    shape = (n_rows, len(repeats))
    if np.all(repeats == 1):
        return rng.standard_exponential(shape)
    return rng.standard_gamma(repeats, shape)


def unseen_size(largest_cluster: float | None, sums: ClusterSums) -> float:
    """Return the size of the unseen cluster: the largest there can be, or the mean of those seen.

    Raises:
        ValueError: if one that was seen is larger.
    """
    if largest_cluster is None:
        return sums.mean_size
    if not sums.sizes.max() <= largest_cluster < math.inf:
        raise ValueError(
            f"largest_cluster must be finite and at least {sums.sizes.max():.0f}, the largest of "
            f"those that were seen, but got {largest_cluster}"
        )
    return float(largest_cluster)


def _checked_rank(confidence_level: float, n_resamples: int) -> int:
    """Return which order statistic, counted from the outside, is the bound [4]."""
    check_level(confidence_level)
    # a hair is added because (1 - 0.95) * 20_000 is 1000.0000000000009 but may be just below
    rank = math.floor((1 - confidence_level) * (n_resamples + 1) + 1e-9)
    if rank < _SMALLEST_RANK:
        needed = math.ceil(_SMALLEST_RANK / (1 - confidence_level))
        raise ValueError(
            f"n_resamples must be at least {needed} for confidence_level {confidence_level} "
            f"but got {n_resamples}"
        )
    return rank
