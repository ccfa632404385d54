from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.arrays import Float32Array, Float64Array, Int64Array
from registry.domain.galleries import IndexSpec, Metric
from registry.errors import CorruptFileError, DimensionMismatchError, InvalidInputError
from registry.galleries import _exact
from registry.galleries._exact import ExactIndex
from registry.galleries.geometry import normalise

SPEC = IndexSpec("exact")


def small_integers(rng: np.random.Generator, n: int, dim: int) -> Float32Array:
    """Vectors whose products are exact in float32, so that equal scores are truly equal."""
    return rng.integers(-2, 3, (n, dim)).astype(np.float32)


def scores_of(queries: Float32Array, vectors: Float32Array, metric: Metric) -> Float64Array:
    q, x = queries.astype(np.float64), vectors.astype(np.float64)
    if metric is Metric.L2:
        distances: Float64Array = ((q[:, None] - x[None]) ** 2).sum(2)
        return -distances
    products: Float64Array = q @ x.T
    return products


def ordered(scores: Float64Array, excluded: Int64Array, k: int) -> list[list[int]]:
    """Positions by (score descending, position ascending), written as plainly as can be."""
    found = []
    for row in scores.tolist():
        allowed = [p for p in range(len(row)) if p not in set(excluded.tolist())]
        best = sorted(allowed, key=lambda p: (-row[p], p))[:k]
        found.append(best + [-1] * (k - len(best)))
    return found


@given(
    seed=st.integers(0, 2**32),
    n=st.integers(0, 60),
    k=st.integers(1, 70),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    metric=st.sampled_from([Metric.INNER_PRODUCT, Metric.L2]),
    share=st.sampled_from([0.0, 0.3, 1.0]),
)
@settings(deadline=None, max_examples=150)
def test_equals_a_sort_with_ties_by_position(
    seed: int, n: int, k: int, cuts: list[int], metric: Metric, share: float
) -> None:
    rng = np.random.default_rng(seed)
    vectors, queries = small_integers(rng, n, 3), small_integers(rng, 5, 3)
    excluded = np.flatnonzero(rng.random(n) < share)
    blocks = np.split(vectors, sorted(min(cut, n) for cut in cuts))
    index = ExactIndex(blocks, metric=metric, dim=3)
    found = index.search(queries, k, excluded=excluded)
    expected = ordered(scores_of(queries, vectors, metric), excluded, k)
    assert found.positions.tolist() == expected
    assert (np.isneginf(found.scores) == (found.positions < 0)).all()


@pytest.mark.parametrize("metric", list(Metric))
def test_many_chunks_give_what_one_gives(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, metric: Metric
) -> None:
    vectors = np.repeat(small_integers(rng, 900, 4), 3, axis=0)
    vectors[(vectors == 0).all(axis=1)] = 1
    queries = normalise(vectors[::100])
    whole = ExactIndex([vectors], metric=metric, dim=4).search(queries, 40)
    monkeypatch.setattr(_exact, "_MAX_CHUNK", 50)
    monkeypatch.setattr(_exact, "_QUERIES_AT_ONCE", 4)
    parts = ExactIndex([vectors[:1000], vectors[1000:]], metric=metric, dim=4)
    np.testing.assert_array_equal(parts.search(queries, 40).positions, whole.positions)


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_rows_are_no_trouble(order: int) -> None:
    """Ascending scores fill every chunk with candidates; descending ones end after the first."""
    vectors = np.arange(200_000, dtype=np.float32)[::order, None]
    found = ExactIndex([vectors], metric=Metric.INNER_PRODUCT, dim=1).search(
        np.array([[1.0], [-1.0]], np.float32), 3
    )
    assert found.scores.tolist() == [[199_999, 199_998, 199_997], [0, -1, -2]]


@pytest.mark.parametrize("metric", list(Metric))
def test_a_prefix_is_searched_without_the_other_dimensions(
    rng: np.random.Generator, metric: Metric
) -> None:
    long = rng.standard_normal((500, 12)).astype(np.float32)
    short = np.ascontiguousarray(long[:, :5])
    queries = normalise(rng.standard_normal((20, 5)).astype(np.float32))
    expected = ExactIndex([short], metric=metric, dim=5).search(queries, 10)
    view = ExactIndex([long[:200], long[200:]], metric=metric, dim=5)
    assert all(np.shares_memory(block, long) for block in view._blocks)
    found = view.search(queries, 10)
    np.testing.assert_array_equal(found.positions, expected.positions)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)


def test_a_zero_prefix_scores_nothing_under_cosine() -> None:
    vectors = np.array([[0, 0, 1], [-1, 0, 5], [1, 1, 0]], np.float32)
    query = np.array([[1, 0]], np.float32)
    found = ExactIndex([vectors], metric=Metric.COSINE, dim=2).search(query, 3)
    assert found.positions.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(found.scores, [[0.5**0.5, 0, -1]], rtol=1e-6)


def test_tiny_and_huge_vectors_have_a_cosine() -> None:
    vectors = np.array([[1e-25, 0], [0, 1e19]], np.float32)
    found = ExactIndex([vectors], metric=Metric.COSINE, dim=2).search(
        np.eye(2, dtype=np.float32), 1
    )
    assert found.positions.tolist() == [[0], [1]]
    np.testing.assert_allclose(found.scores, 1, rtol=1e-6)


def test_l2_is_never_above_zero(rng: np.random.Generator) -> None:
    vectors = (1000 * rng.standard_normal((50, 8))).astype(np.float32)
    found = ExactIndex([vectors], metric=Metric.L2, dim=8).search(vectors, 1)
    assert (found.scores <= 0).all()


def test_too_short_vectors_are_refused() -> None:
    with pytest.raises(DimensionMismatchError):
        ExactIndex([np.ones((2, 3), np.float32)], metric=Metric.L2, dim=4)


def test_it_has_no_recipes_and_no_options() -> None:
    for spec in (IndexSpec("exact", "HNSW32"), IndexSpec("exact", "Flat", {"nprobe": 3})):
        with pytest.raises(InvalidInputError):
            _exact.check(dim=3, metric=Metric.L2, spec=spec)


def test_a_prefix_can_be_saved(tmp_path: Path, rng: np.random.Generator) -> None:
    long = rng.standard_normal((50, 6)).astype(np.float32)
    ExactIndex([long], metric=Metric.L2, dim=4).save(tmp_path / "x")
    opened = _exact.open(tmp_path / "x", dim=4, metric=Metric.L2, spec=SPEC)
    np.testing.assert_array_equal(np.concatenate(opened._blocks), long[:, :4])
    with pytest.raises(CorruptFileError, match="4 dimensions for l2"):
        _exact.open(tmp_path / "x", dim=6, metric=Metric.L2, spec=SPEC)
