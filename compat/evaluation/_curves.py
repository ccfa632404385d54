"""Points of the ROC and DET curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from registry.arrays import Float32Array, Float64Array

_POINTS_PER_DECADE = 10


@dataclass(frozen=True, slots=True, eq=False)
class ErrorCurve:
    """Points of the ROC and DET curves, from few false matches to many; each is exact.

    Attributes:
        thresholds: Shape: (n_points,)
        false_match_rates: Shape: (n_points,)
        false_non_match_rates: Shape: (n_points,)
    """

    thresholds: Float32Array
    false_match_rates: Float64Array
    false_non_match_rates: Float64Array


def spread_rates(n_impostor: int) -> Float64Array:
    """Return false match rates evenly spread in their logarithm, down to a single false match."""
    n_points = math.ceil(math.log10(max(n_impostor, 10)) * _POINTS_PER_DECADE)
    return np.geomspace(1.0 / n_impostor, 0.999, n_points)


def curve_of(
    thresholds: Float32Array, false_match_rates: Float64Array, genuine: Float32Array
) -> ErrorCurve:
    """Return the curve through some thresholds, each once, from the highest to the lowest.

    Args:
        thresholds: Shape: (n,)
        false_match_rates: at those thresholds. Shape: (n,)
        genuine: scores of the genuine pairs. Shape: (n_pairs,)
    """
    order = np.argsort(-thresholds, kind="stable")
    kept = order[np.unique(-thresholds[order], return_index=True)[1]]
    below = np.searchsorted(np.sort(genuine), thresholds[kept], side="left")
    return ErrorCurve(thresholds[kept], false_match_rates[kept], below / len(genuine))
