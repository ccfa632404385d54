from __future__ import annotations

import numpy as np
import pytest

from registry.arrays import Float32Array, Float64Array
from registry.domain.galleries import Metric
from registry.errors import DimensionMismatchError, InvalidInputError
from registry.galleries import pair_scores
from registry.galleries.pair_scores import score_all, score_rows

from .stored import prefix


def naive(a: Float32Array, b: Float32Array, metric: Metric) -> Float64Array:
    left, right = a.astype(np.float64), b.astype(np.float64)
    if metric is Metric.L2:
        distances: Float64Array = np.square(left[:, None] - right[None]).sum(axis=2)
        return -distances
    if metric is Metric.COSINE:
        left /= np.linalg.norm(left, axis=1, keepdims=True)
        right /= np.linalg.norm(right, axis=1, keepdims=True)
    products: Float64Array = left @ right.T
    return products


@pytest.mark.parametrize("metric", list(Metric))
def test_scores_are_those_of_the_first_dimensions(
    metric: Metric, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_scores, "_QUERIES_AT_ONCE", 3)
    a = rng.normal(size=(7, 6)).astype(np.float32)
    b = rng.normal(size=(9, 5)).astype(np.float32)
    expected = naive(a[:, :4], b[:, :4], metric)
    found = score_all(a, b, prefix(4), metric)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    paired = score_rows(a, b[:7], prefix(4), metric)
    assert paired.dtype == np.float32
    np.testing.assert_allclose(paired, np.diag(expected), atol=1e-5)


def test_small_distances_of_long_vectors_are_not_lost() -> None:
    """In float32, |a|^2 - 2ab + |b|^2 of these is noise."""
    a = np.full((1, 4), 1e4, np.float32)
    b = a + np.array([[0.5, 0, 0, 0]], np.float32)
    assert score_all(a, b, prefix(4), Metric.L2)[0, 0] == -0.25
    assert score_rows(a, b, prefix(4), Metric.L2)[0] == -0.25
    assert score_all(a, a, prefix(4), Metric.L2)[0, 0] == 0


def test_no_vectors_have_no_scores() -> None:
    none, some = np.empty((0, 3), np.float32), np.ones((2, 3), np.float32)
    for metric in Metric:
        assert score_all(none, some, prefix(2), metric).shape == (0, 2)
        assert score_all(some, none, prefix(2), metric).shape == (2, 0)
        assert score_rows(none, none, prefix(2), metric).shape == (0,)


def test_what_cannot_be_compared_is_refused() -> None:
    short, zero = np.ones((1, 2), np.float32), np.array([[0, 0, 1]], np.float32)
    for score in (score_all, score_rows):
        with pytest.raises(DimensionMismatchError, match="have 2 dimensions"):
            score(short, np.ones((1, 3), np.float32), prefix(3), Metric.COSINE)
        with pytest.raises(InvalidInputError, match="all zero in the first 2"):
            score(zero, np.ones((1, 3), np.float32), prefix(2), Metric.COSINE)
        assert score(np.ones((1, 3), np.float32), zero, prefix(2), Metric.COSINE).item() == 0
