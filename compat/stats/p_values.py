"""P-values that agree with the confidence bounds of paired differences: for Holm's procedure.

References:
    [1] Davison and Hinkley, "Bootstrap methods and their application", 1997, section 4.2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float64Array, LabelArray

from .bounds import resampled_means, unseen_size
from .clusters import check_limits, checked_differences, sum_by_cluster


@dataclass(frozen=True, slots=True)
class DifferencePValues:
    """How much the data speak against a mean difference at or beyond a threshold.

    Attributes:
        greater: p-value of "the mean is at most the threshold", small if it is greater.
        less: p-value of "the mean is at least the threshold", small if it is less.
        threshold: 0 for superiority, minus the margin for non-inferiority.
    """

    greater: float
    less: float
    threshold: float


def paired_difference_p_values(  # noqa: PLR0913 (three arrays and five named settings)
    baseline: Float64Array,
    candidate: Float64Array,
    clusters: LabelArray,
    *,
    threshold: float = 0.0,
    limits: tuple[float, float] = (-1.0, 1.0),
    largest_cluster: float | None = None,
    n_resamples: int = 20_000,
    rng: np.random.Generator,
) -> DifferencePValues:
    """Test a mean difference by inverting Gaffke's bound.

    With r of B resampled means at or below the threshold, (1 + r) / (1 + B) is a p-value [1]. It
    is at most 1 - confidence_level exactly when the lower bound of `paired_difference_bounds`,
    with the same `rng`, lies above the threshold. It is never below 1 / (1 + B). Everything that
    is assumed there is assumed here.

    Raises:
        ValueError: if shapes disagree or are empty, a value is NaN or outside the limits, or a
            setting is out of range.
    """
    differences = checked_differences(baseline, candidate, clusters)
    check_limits(differences, limits)
    if not math.isfinite(threshold):
        raise ValueError(f"threshold must be finite but got {threshold}")
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1 but got {n_resamples}")
    sums = sum_by_cluster(differences, clusters)
    size = unseen_size(largest_cluster, sums)
    low, high = resampled_means(sums, limits, n_resamples, rng, unseen_size=size)
    return DifferencePValues(
        greater=float(1 + np.count_nonzero(low <= threshold)) / (1 + n_resamples),
        less=float(1 + np.count_nonzero(high >= threshold)) / (1 + n_resamples),
        threshold=threshold,
    )
