from __future__ import annotations

import itertools

import numpy as np
import pytest

from compat.stats.bootstrap import Degenerate
from compat.stats.crossed import pigeonhole_difference_bounds
from registry.arrays import Float64Array


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def enumerated(differences: Float64Array, counts: Float64Array) -> Float64Array:
    """All equally likely resamples of rows and of columns, their means sorted."""
    n_rows, n_columns = counts.shape
    means = []
    for rows in itertools.product(range(n_rows), repeat=n_rows):
        for columns in itertools.product(range(n_columns), repeat=n_columns):
            cells = np.ix_(rows, columns)
            means.append(differences[cells].sum() / counts[cells].sum())
    return np.sort(means)


def test_equals_the_enumeration_of_all_resamples() -> None:
    """3 x 4 cells have 27 * 256 resamples of equal probability: quantiles without any drawing."""
    counts = rng(1).integers(1, 6, (3, 4)).astype(float)
    differences = counts * rng(2).uniform(-1, 1, (3, 4))
    exact = enumerated(differences, counts)
    found = pigeonhole_difference_bounds(
        differences, counts, confidence_level=0.9, n_resamples=200_000, rng=rng(3)
    )
    assert found.low == pytest.approx(np.quantile(exact, 0.1), abs=0.004)
    assert found.high == pytest.approx(np.quantile(exact, 0.9), abs=0.004)
    assert found.estimate == pytest.approx(differences.sum() / counts.sum())
    assert found.n_clusters == 3


def test_variance_adds_that_of_both_sides() -> None:
    """Additive effects of 40 rows and 25 columns: resampled variance is the sum, Owen 2007 §4."""
    rows, columns = rng(4).uniform(-0.4, 0.4, (40, 1)), rng(5).uniform(-0.4, 0.4, (1, 25))
    found = pigeonhole_difference_bounds(
        rows + columns, np.ones((40, 25)), n_resamples=100_000, rng=rng(6)
    )
    sd = np.sqrt(rows.var() / 40 + columns.var() / 25)
    assert found.high - found.low == pytest.approx(2 * 1.645 * sd, rel=0.02)
    by_rows_only = 2 * 1.645 * np.sqrt(rows.var() / 40)
    assert found.high - found.low > 1.3 * by_rows_only  # so the test can fail


def test_a_resample_without_pairs_counts_as_the_worst() -> None:
    """A 2 x 2 diagonal: rows (0, 0) with columns (1, 1) hold no pair, two times in sixteen."""
    counts = np.eye(2)
    found = pigeonhole_difference_bounds(
        0.5 * counts, counts, confidence_level=0.9, n_resamples=20_000, rng=rng()
    )
    assert (found.low, found.high) == (-1.0, 1.0)
    assert found.degenerate is None


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (6, 5)])
def test_no_variation_proves_nothing(shape: tuple[int, int]) -> None:
    values = rng().uniform(-1, 1, shape) if 1 in shape else np.zeros(shape)
    found = pigeonhole_difference_bounds(values, np.ones(shape), rng=rng())
    assert found.degenerate is Degenerate.NO_VARIATION
    assert (found.low, found.high) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("differences", "counts", "message"),
    [
        (np.zeros((2, 2)), np.ones((2, 3)), r"\(2, 2\), \(2, 3\)"),
        (np.zeros(4), np.ones(4), "must be 2-d"),
        (np.full((2, 2), np.nan), np.ones((2, 2)), "NaN"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "not all 0"),
        (np.full((2, 2), 3.0), np.full((2, 2), 2.0), r"lie in limits \(-1.0, 1.0\)"),
    ],
)
def test_tables_are_checked(differences: Float64Array, counts: Float64Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pigeonhole_difference_bounds(differences, counts, rng=rng())
