from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compat.evaluation import (
    CompatibilityMatrix,
    average_compatibility,
    average_multi_model_accuracy,
    flip_rates,
    update_gain,
)
from registry.arrays import Float64Array

# The 7-task matrix of d-Simplex-HOC that its authors publish (reference/METHODS.md, section 3),
# in per cent; they report AC 0.95 and AA 68.90.
PUBLISHED = [
    [58.89],
    [59.70, 61.56],
    [63.05, 65.28, 69.31],
    [63.34, 65.30, 70.63, 72.37],
    [65.01, 67.87, 70.75, 72.11, 73.83],
    [64.08, 67.19, 71.17, 72.71, 74.70, 76.19],
    [63.14, 66.35, 72.10, 73.50, 75.23, 76.65, 77.16],
]


def triangle(rows: list[list[float]]) -> Float64Array:
    matrix = np.full((len(rows), len(rows)), np.nan)
    for t, row in enumerate(rows):
        matrix[t, : len(row)] = row
    return matrix


def test_published_summaries() -> None:
    matrix = triangle(PUBLISHED)
    assert average_compatibility(matrix) == 20 / 21  # 0.952: only (5 vs 4) fails
    assert average_multi_model_accuracy(matrix) == pytest.approx(68.90, abs=0.005)


def test_equal_is_not_compatible() -> None:
    assert average_compatibility(triangle([[0.5], [0.5, 0.6]])) == 0.0
    assert average_compatibility(triangle([[0.5], [np.nextafter(0.5, 1), 0.6]])) == 1.0


def test_the_upper_triangle_has_no_say() -> None:
    matrix = triangle(PUBLISHED)
    filled = np.where(np.isnan(matrix), 99.0, matrix)
    assert average_compatibility(filled) == average_compatibility(matrix)
    assert average_multi_model_accuracy(filled) == average_multi_model_accuracy(matrix)


def test_a_zero_counts_and_a_missing_cell_does_not() -> None:
    assert average_multi_model_accuracy(triangle([[0.6], [0.0, 0.9]])) == pytest.approx(0.5)
    assert average_multi_model_accuracy(triangle([[0.6], [np.nan, 0.9]])) == pytest.approx(0.75)
    missing = triangle([[0.6], [np.nan, 0.9], [0.7, 0.8, 0.9]])
    assert average_compatibility(missing) == 0.5
    without_self_test = triangle([[np.nan], [0.7, 0.6], [0.7, 0.8, 0.9]])
    assert average_compatibility(without_self_test) == 1.0


@pytest.mark.parametrize("summary", [average_compatibility, average_multi_model_accuracy])
def test_nothing_measured_has_no_summary(summary: object) -> None:
    assert callable(summary)
    with pytest.raises(ValueError, match=r"measured|no pair"):
        summary(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match=r"\(n_versions, n_versions\) but got \(2, 3\)"):
        summary(np.zeros((2, 3)))


def test_one_version_has_no_pair() -> None:
    with pytest.raises(ValueError, match="no pair"):
        average_compatibility(np.array([[0.5]]))


def test_summaries_do_not_write() -> None:
    matrix = triangle(PUBLISHED)
    matrix.flags.writeable = False
    average_compatibility(matrix)
    average_multi_model_accuracy(matrix)


def test_update_gain() -> None:
    assert update_gain(0.6, 0.5, 0.9) == pytest.approx(0.25)
    assert update_gain(0.5, 0.5, 0.9) == 0.0
    assert update_gain(0.4, 0.5, 0.9) == pytest.approx(-0.25)


@pytest.mark.parametrize("independent", [0.5, 0.4, float("nan")])
def test_no_headroom_no_gain(independent: float) -> None:
    with pytest.raises(ValueError, match=r"must be above the old one's 0\.5"):
        update_gain(0.6, 0.5, independent)


def test_flip_rates_of_right_and_wrong() -> None:
    old, new = np.array([0.0, 0, 0, 1, 1]), np.array([1.0, 1, 0, 0, 1])
    np.testing.assert_allclose(flip_rates(old, new), (0.4, 0.2), rtol=1e-15)
    assert flip_rates(old, old) == (0.0, 0.0)


@given(hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(1, 20)), elements=st.floats(0, 1)))
def test_flips_add_up_to_the_difference(hits: Float64Array) -> None:
    positive, negative = flip_rates(hits[0], hits[1])
    assert positive - negative == pytest.approx(hits[1].mean() - hits[0].mean(), abs=1e-12)
    np.testing.assert_allclose(flip_rates(hits[1], hits[0]), (negative, positive), rtol=1e-12)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ([0.0], [0.0, 1.0], "one length"),
        ([], [], "one length"),
        ([0.0], [1.5], r"in \[0, 1\]"),
        ([np.nan], [1.0], r"in \[0, 1\]"),
    ],
)
def test_flip_rates_are_checked(old: list[float], new: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        flip_rates(np.array(old), np.array(new))


def test_matrix_of_per_query_arrays() -> None:
    cells = {
        ("old", "old"): np.array([0.0, 1.0]),
        ("new", "old"): np.array([1.0, 1.0]),
        ("new", "new"): np.array([0.5, 1.0]),
    }
    matrix = CompatibilityMatrix("hit@1", ("old", "new"), cells)
    assert matrix.value("new", "old") == 1.0
    np.testing.assert_array_equal(matrix.means(), [[0.5, np.nan], [1.0, 0.75]])
    assert average_compatibility(matrix.means()) == 1.0
    with pytest.raises(ValueError, match="no cell for queries of old on a gallery of new"):
        matrix.value("old", "new")


@pytest.mark.parametrize(
    ("versions", "cells", "message"),
    [
        (("a", "a"), {}, "versions must differ"),
        (("a",), {("a", "b"): [1.0]}, r"versions \['b'\]"),
        (("a", "b"), {("a", "a"): [1.0], ("b", "a"): [1.0, 0.0]}, "the same queries"),
        (("a",), {("a", "a"): []}, "the same queries"),
        (("a",), {("a", "a"): [np.nan]}, "must not hold NaN"),
    ],
)
def test_matrix_is_checked(
    versions: tuple[str, ...], cells: dict[tuple[str, str], list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        CompatibilityMatrix("mAP", versions, {k: np.array(v) for k, v in cells.items()})
