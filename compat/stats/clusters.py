"""Sums of paired differences within independent units, which all bounds begin with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array, LabelArray


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSums:
    """Clusters that have one sum of differences and one size, and how many they are.

    Attributes:
        differences: sum of differences. Shape: (n_distinct,)
        sizes: queries. Shape: (n_distinct,)
        repeats: clusters that have them. Shape: (n_distinct,)
    """

    differences: Float64Array
    sizes: Float64Array
    repeats: Float64Array

    @property
    def n_clusters(self) -> int:
        """How many clusters there are."""
        return int(self.repeats.sum())

    @property
    def mean_size(self) -> float:
        """Queries a cluster."""
        return float((self.repeats @ self.sizes) / self.repeats.sum())

    @property
    def mean(self) -> float:
        """Mean difference over queries."""
        return float((self.repeats @ self.differences) / (self.repeats @ self.sizes))


def sum_by_cluster(differences: Float64Array, clusters: LabelArray) -> ClusterSums:
    """Sum within clusters, then put equal clusters together: their weights may be drawn as one.

    The sum of m weights of mean 1 is a Gamma(m) weight, so 0/1 metrics of many single queries
    need a handful of draws and not one a query.
    """
    _, members = np.unique(clusters, return_inverse=True)
    order = np.lexsort((differences, members))  # sums do not round with the order of queries
    sizes = np.bincount(members).astype(np.float64)
    totals = np.bincount(members[order], weights=differences[order])
    (totals, sizes), repeats = np.unique(np.stack([totals, sizes]), axis=1, return_counts=True)
    return ClusterSums(totals.copy(), sizes.copy(), repeats.astype(np.float64))


def cluster_means(values: Float64Array, clusters: LabelArray) -> Float64Array:
    """Return the mean of each cluster, in the order of their labels. Shape: (n_clusters,).

    Bounding these as single queries speaks of the mean over clusters, each counting once, instead
    of the mean over queries. It is no ratio, so that clusters of very unequal size do no harm.

    Args:
        values: metric of each query. Shape: (n_queries,)
        clusters: label of the independent unit of each query. Shape: (n_queries,)

    Raises:
        ValueError: if shapes disagree or are empty, or a value is NaN.
    """
    checked_differences(values, values, clusters)
    _, members = np.unique(clusters, return_inverse=True)
    order = np.lexsort((values, members))  # sums do not round with the order of queries
    totals = np.bincount(members[order], weights=np.asarray(values, np.float64)[order])
    means: Float64Array = totals / np.bincount(members)
    return means


def checked_differences(
    baseline: Float64Array, candidate: Float64Array, clusters: LabelArray
) -> Float64Array:
    """Return candidate minus baseline.

    Raises:
        ValueError: if shapes disagree or are empty, or a difference is not finite.
    """
    shapes = (np.shape(baseline), np.shape(candidate), np.shape(clusters))
    if len(set(shapes)) != 1 or len(shapes[0]) != 1 or shapes[0][0] == 0:
        raise ValueError(
            "baseline, candidate and clusters must be 1-d, of one length and not empty "
            f"but have shapes {', '.join(map(str, shapes))}"
        )
    differences = np.asarray(candidate, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if not np.isfinite(differences).all():
        n_bad = int(np.count_nonzero(~np.isfinite(differences)))
        raise ValueError(f"differences must be finite but {n_bad} are NaN or infinite")
    return differences


def check_limits(differences: Float64Array, limits: tuple[float, float]) -> None:
    """Refuse limits that are none, or differences outside them.

    Raises:
        ValueError: naming both.
    """
    low, high = limits
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"limits must be finite and ascend but got {limits}")
    smallest, largest = differences.min(), differences.max()
    if smallest < low or largest > high:
        raise ValueError(
            f"differences must lie in limits {limits} but lie in [{smallest}, {largest}]"
        )


def check_level(confidence_level: float) -> None:
    """Refuse what is no confidence level.

    Raises:
        ValueError: if it is not in (0, 1).
    """
    if not 0 < confidence_level < 1:
        raise ValueError(f"confidence_level must be in (0, 1) but got {confidence_level}")
