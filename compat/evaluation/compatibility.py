"""Compatibility matrices and their summaries.

``C[t, k]`` is a metric for queries of version ``t`` on a gallery of version ``k``: the diagonal
holds the self-tests, what is below it the cross-tests. Missing cells are NaN; a zero is a zero.

References:
    [1] Biondi et al., "CoReS: compatible representations via stationarity", TPAMI 2023.
    [2] Biondi et al., "Stationary representations: optimally approximating compatibility and
        implications for improved model replacements", CVPR 2024.
    [3] Shen et al., "Towards backward-compatible representation learning", CVPR 2020.
    [4] Yan et al., "Positive-congruent training: towards regression-free model updates",
        CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array

from .flips import find_flips


@dataclass(frozen=True, slots=True, eq=False)
class CompatibilityMatrix:
    """One metric, query by query, for each measured pair of versions.

    Attributes:
        metric: the metric's name, e.g. ``mAP``.
        versions: labels, oldest first: the order of rows and columns.
        cells: (query version, gallery version) to the metric of each query. Shape of each:
            (n_queries,), the same queries in the same order in every cell.

    Raises:
        ValueError: if a cell names an unknown version or the cells do not pair up.
    """

    metric: str
    versions: tuple[str, ...]
    cells: Mapping[tuple[str, str], Float64Array]

    def __post_init__(self) -> None:
        if len(set(self.versions)) != len(self.versions):
            raise ValueError(f"versions must differ but got {self.versions}")
        unknown = sorted({v for pair in self.cells for v in pair} - set(self.versions))
        if unknown:
            raise ValueError(f"cells name versions {unknown}, which are not in {self.versions}")
        shapes = {values.shape for values in self.cells.values()}
        if len(shapes) > 1 or any(len(shape) != 1 or shape[0] == 0 for shape in shapes):
            raise ValueError(
                f"cells must be 1-d and hold the same queries but have shapes {sorted(shapes)}"
            )
        if any(np.isnan(values).any() for values in self.cells.values()):
            raise ValueError("cells must not hold NaN; leave a cell out that was not measured")

    def value(self, query_version: str, gallery_version: str) -> float:
        """Return the mean over queries of one cell.

        Raises:
            ValueError: if the cell was not measured.
        """
        cell = self.cells.get((query_version, gallery_version))
        if cell is None:
            known = ", ".join(f"({q}, {g})" for q, g in self.cells)
            raise ValueError(
                f"no cell for queries of {query_version} on a gallery of {gallery_version}; "
                f"known: {known or 'none'}"
            )
        return float(cell.mean())

    def means(self) -> Float64Array:
        """Return C, NaN where not measured. Shape: (n_versions, n_versions)."""
        place = {version: i for i, version in enumerate(self.versions)}
        means = np.full((len(place), len(place)), np.nan)
        for (query_version, gallery_version), values in self.cells.items():
            means[place[query_version], place[gallery_version]] = values.mean()
        return means


def average_compatibility(matrix: Float64Array) -> float:
    """Return AC: the share of pairs k < t with C[t, k] > C[k, k], strictly [1, 2].

    Pairs with a missing cell are left out. AC has no magnitude: a pair that fails by a hair
    counts like one that collapses.

    Args:
        matrix: what is above the diagonal is ignored. Shape: (n_versions, n_versions)

    Raises:
        ValueError: if the matrix is not square or no pair was measured.
    """
    check_square(matrix)
    t, k = np.tril_indices(len(matrix), k=-1)
    cross, own = matrix[t, k], matrix[k, k]
    measured = ~(np.isnan(cross) | np.isnan(own))
    if not measured.any():
        raise ValueError("no pair of versions has both its cross-test and the old self-test")
    return float(np.mean(cross[measured] > own[measured]))


def average_multi_model_accuracy(matrix: Float64Array) -> float:
    """Return AM, also called AA: the mean of the measured cells with k <= t [1, 2].

    Args:
        matrix: what is above the diagonal is ignored. Shape: (n_versions, n_versions)

    Raises:
        ValueError: if the matrix is not square or nothing was measured.
    """
    check_square(matrix)
    cells = matrix[np.tril_indices(len(matrix))]
    cells = cells[~np.isnan(cells)]
    if cells.size == 0:
        raise ValueError("no cell on or below the diagonal was measured")
    return float(cells.mean())


def update_gain(new_old: float, old_old: float, independent_new_new: float) -> float:
    """Return how much of an independent new model's gain comes without backfilling [3].

    0 is the compatibility boundary, 1 is all that backfilling with an unconstrained model gives.

    Args:
        new_old: metric of new queries on the old gallery.
        old_old: metric of old queries on the old gallery.
        independent_new_new: self-test of a new model trained without a compatibility objective.

    Raises:
        ValueError: if the independent new model is not better than the old one: there is then no
            gain to take a share of.
    """
    headroom = independent_new_new - old_old
    if not headroom > 0:
        raise ValueError(
            f"the independent new model scores {independent_new_new}, which must be above "
            f"the old one's {old_old}"
        )
    return (new_old - old_old) / headroom


def flip_rates(old_hit: Float64Array, new_hit: Float64Array) -> tuple[float, float]:
    """Return the rates of positive flips (wrong, then right) and of negative flips [4].

    Their difference is exactly the difference of the means. Fractional hits, which arise from
    equal scores, are taken as independent chances of the two models.

    Args:
        old_hit: hit of each query with the old model, in [0, 1]. Shape: (n_queries,)
        new_hit: the same queries with the new model. Shape: (n_queries,)

    Raises:
        ValueError: if shapes differ, are empty, or a value is outside [0, 1].
    """
    flips = find_flips(old_hit, new_hit)
    return flips.positive_rate, flips.negative_rate


def check_square(matrix: Float64Array) -> None:
    """Refuse a compatibility matrix that is not square."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"a compatibility matrix must be (n_versions, n_versions) but got {matrix.shape}"
        )
