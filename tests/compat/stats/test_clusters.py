from __future__ import annotations

import numpy as np
import pytest

from compat.stats import cluster_means, paired_difference_bounds
from compat.stats.clusters import sum_by_cluster


def test_sums_put_equal_clusters_together() -> None:
    differences = np.array([0.5, 0.5, 1.0, 0.0, -1.0, 0.25, 0.75])
    clusters = np.array(["a", "a", "b", "b", "c", "d", "d"])
    sums = sum_by_cluster(differences, clusters)
    assert sums.differences.tolist() == [-1.0, 1.0]
    assert sums.sizes.tolist() == [1.0, 2.0]
    assert sums.repeats.tolist() == [1.0, 3.0]
    assert (sums.n_clusters, sums.mean_size) == (4, 7 / 4)
    assert sums.mean == pytest.approx(differences.mean())


def test_means_by_label() -> None:
    values = np.array([0.0, 1.0, 0.25, 0.5, 0.25])
    assert cluster_means(values, np.array([7, 7, 2, 2, 5])).tolist() == [0.375, 0.25, 0.5]
    with pytest.raises(ValueError, match="1-d"):
        cluster_means(values, np.array([7, 7]))
    with pytest.raises(ValueError, match="1 are NaN"):
        cluster_means(np.array([np.nan]), np.array([7]))


def test_with_equal_sizes_the_mean_over_clusters_is_that_over_queries() -> None:
    rng = np.random.default_rng(3)
    differences, clusters = rng.uniform(-1, 1, 60), np.repeat(np.arange(20), 3)
    means = cluster_means(differences, clusters)
    whole, single = (
        paired_difference_bounds(
            np.zeros(len(d)), d, c, n_resamples=200_000, rng=np.random.default_rng(1)
        )
        for d, c in ((differences, clusters), (means, np.arange(20)))
    )
    assert single.low == pytest.approx(whole.low, abs=0.002)
    assert single.estimate == pytest.approx(whole.estimate)
