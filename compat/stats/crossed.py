"""Two-way resampling: queries and gallery are both samples.

References:
    [1] Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2), 2007.
    [2] McCullagh, "Resampling and exchangeable arrays", Bernoulli 6(2), 2000.
"""

from __future__ import annotations

import numpy as np

from registry.arrays import Float64Array

from .bootstrap import BootstrapBounds, Degenerate, check_resampling

_BLOCK = 2**20  # weights that are held at a time: 8 MiB


def pigeonhole_difference_bounds(
    differences: Float64Array,
    counts: Float64Array,
    *,
    confidence_level: float = 0.95,
    limits: tuple[float, float] = (-1.0, 1.0),
    n_resamples: int = 10_000,
    rng: np.random.Generator,
) -> BootstrapBounds:
    """Bound the mean of a query cluster by gallery cluster table, both drawn with replacement.

    Rows and columns are drawn independently; the cell of a row drawn twice and a column drawn
    three times counts six times; the bounds are quantiles of the mean over what is counted [1].
    No resampling is exact for crossed samples [2]; this one overstates the variance a little, by
    the part that belongs to single cells [1]. Coverage is otherwise that of a percentile
    bootstrap with as many units as the *smaller* side has: approximate.

    What may be put in: a quantity that is a mean over (query, gallery item) pairs, such as the
    false-accept rate over impostor pairs of (subject, subject); or a metric computed for each
    query on each of several disjoint parts of the gallery, which then speaks of a gallery of the
    size of such a part. Average precision on the whole gallery is no mean over items, so per-query
    values alone cannot be resampled two-way.

    Args:
        differences: sum of candidate minus baseline over the pairs of each cell.
            Shape: (n_query_clusters, n_gallery_clusters)
        counts: pairs of each cell, 0 where there are none. Same shape.
        confidence_level: of each bound, in (0, 1).
        limits: the smallest and the largest difference of a pair; a resample that holds no pair
            counts as the worst of them on either side.
        n_resamples: draws.
        rng: source of the draws.

    Returns:
        bounds; with NO_VARIATION, and the limits, if either side has a single cluster or all
        resamples are equal.

    Raises:
        ValueError: if the tables do not fit each other or the limits, or a setting is out of range.
    """
    _check_table(differences, counts, limits)
    check_resampling(confidence_level, n_resamples)
    low, high = map(float, limits)
    lows, highs = _resampled_table(differences, counts, (low, high), n_resamples, rng)
    shows_nothing = min(counts.shape) < 2 or bool(np.ptp(lows) <= 1e-12 and np.ptp(highs) <= 1e-12)
    if not shows_nothing:
        low = float(np.quantile(lows, 1 - confidence_level))
        high = float(np.quantile(highs, confidence_level))
    return BootstrapBounds(
        estimate=float(differences.sum() / counts.sum()),
        low=low,
        high=high,
        confidence_level=confidence_level,
        n_clusters=min(counts.shape),
        degenerate=Degenerate.NO_VARIATION if shows_nothing else None,
    )


def _resampled_table(
    differences: Float64Array,
    counts: Float64Array,
    limits: tuple[float, float],
    n_resamples: int,
    rng: np.random.Generator,
) -> tuple[Float64Array, Float64Array]:
    """Return resampled means, those without a pair at the lower and at the upper limit."""
    low, high = np.empty(n_resamples), np.empty(n_resamples)
    n_rows = max(1, _BLOCK // sum(counts.shape))
    for start in range(0, n_resamples, n_rows):
        stop = min(start + n_rows, n_resamples)
        rows, columns = (
            rng.multinomial(n, np.full(n, 1 / n), size=stop - start).astype(np.float64)
            for n in counts.shape
        )
        totals = np.sum((rows @ differences) * columns, axis=1)
        pairs = np.sum((rows @ counts) * columns, axis=1)
        for means, limit in ((low, limits[0]), (high, limits[1])):
            means[start:stop] = np.divide(
                totals, pairs, out=np.full(stop - start, limit), where=pairs > 0
            )
    return low, high


def _check_table(
    differences: Float64Array, counts: Float64Array, limits: tuple[float, float]
) -> None:
    if differences.shape != counts.shape or counts.ndim != 2 or counts.size == 0:
        raise ValueError(
            "differences and counts must be 2-d, of one shape and not empty but have shapes "
            f"{differences.shape}, {counts.shape}"
        )
    if not np.isfinite(differences).all() or not np.isfinite(counts).all():
        raise ValueError("differences and counts must be finite but have NaN or infinite cells")
    if counts.min() < 0 or counts.sum() == 0:
        raise ValueError("counts must be at least 0 and not all 0")
    low, high = limits
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"limits must be finite and ascend but got {limits}")
    slack = 1e-9 * (1 + counts)
    if np.any(differences < low * counts - slack) or np.any(differences > high * counts + slack):
        raise ValueError(f"mean differences of cells must lie in limits {limits} but some do not")
