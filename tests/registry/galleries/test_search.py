from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.arrays import Float32Array
from registry.domain.contracts import Contract
from registry.domain.galleries import Metric
from registry.errors import DimensionMismatchError, InvalidInputError
from registry.galleries import search
from registry.galleries.search import (
    SearchTarget,
    prepare_gallery,
    prepare_queries,
    search_segments,
)
from registry.vectors import Hits

from .stored import Batch, Maker, prefix, same_space, texts


def target(
    root: Path, batch: Batch, number: int, *, metric: Metric, deleted: Sequence[int] = ()
) -> SearchTarget:
    reader = Maker(root, metric).reader([batch], number=number, deleted=deleted)
    return SearchTarget(reader, same_space(batch[1].shape[1]), number)


def rows(hits: Hits) -> list[list[tuple[float, object, int]]]:
    parts = (hits.scores.tolist(), hits.ids.tolist(), hits.versions.tolist())
    return [list(zip(*row, strict=True)) for row in zip(*parts, strict=True)]


@given(
    seed=st.integers(0, 2**32),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    is_text=st.booleans(),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_segments_are_searched_as_one(
    seed: int, sizes: list[int], is_text: bool, data: st.DataObject
) -> None:
    """Merging equals one sort of everything by (score descending, id ascending)."""
    rng = np.random.default_rng(seed)
    numbers = rng.permutation(1000)[: sum(sizes)]
    ids = np.array([f"i{n}" for n in numbers], object) if is_text else numbers
    vectors = rng.integers(-2, 3, (len(ids), 2)).astype(np.float32)
    queries = rng.integers(-2, 3, (4, 2)).astype(np.float32)
    cuts = np.cumsum([0, *sizes])
    k = data.draw(st.integers(1, len(ids)))
    with TemporaryDirectory() as folder:
        targets = [
            target(Path(folder), (ids[a:b], vectors[a:b]), number, metric=Metric.INNER_PRODUCT)
            for number, (a, b) in enumerate(pairwise(cuts), 1)
        ]
        # what is among the k is the index's choice in ties, so all are asked for
        found = rows(search_segments(targets, queries, len(ids), Metric.INNER_PRODUCT))
        fewer = rows(search_segments(targets, queries, k, Metric.INNER_PRODUCT))
    versions = np.repeat(np.arange(1, len(sizes) + 1), sizes)
    for query, row, some in zip(queries, found, fewer, strict=True):
        scores = (vectors @ query).tolist()
        everything = zip(scores, ids.tolist(), versions.tolist(), strict=True)
        assert row == sorted(everything, key=lambda hit: (-hit[0], hit[1]))
        assert [hit[0] for hit in some] == [hit[0] for hit in row[:k]]
        assert some == sorted(some, key=lambda hit: (-hit[0], hit[1]))


def test_two_versions_of_different_dimension_are_merged(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A query of the longer version is cut for the shorter one, and normalised again."""
    old = rng.standard_normal((20, 3)).astype(np.float32)
    new = rng.standard_normal((10, 5)).astype(np.float32)
    queries = rng.standard_normal((6, 5)).astype(np.float32)
    first = Maker(tmp_path).reader([(np.arange(20), old)], number=1)
    second = Maker(tmp_path).reader([(np.arange(100, 110), new)], number=2)
    targets = [SearchTarget(first, prefix(3), 1), SearchTarget(second, same_space(5), 2)]
    hits = search_segments(targets, queries, 30, Metric.COSINE)

    def cosines(q: Float32Array, x: Float32Array) -> Float32Array:
        units = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (q, x)]
        product: Float32Array = units[0] @ units[1].T
        return product

    scores = np.concatenate([cosines(queries[:, :3], old), cosines(queries, new)], axis=1)
    order = np.argsort(-scores, axis=1)
    np.testing.assert_array_equal(hits.ids, np.r_[0:20, 100:110][order])
    np.testing.assert_array_equal(hits.versions, np.where(hits.ids < 100, 1, 2))
    np.testing.assert_allclose(hits.scores, np.take_along_axis(scores, order, 1), atol=1e-6)


def test_queries_are_prepared_once_for_each_dimension(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = []
    for number, dim in enumerate((4, 4, 2, 4), 1):
        vectors = rng.standard_normal((5, dim)).astype(np.float32)
        reader = Maker(tmp_path).reader([(np.arange(5) + 10 * number, vectors)], number=number)
        targets.append(SearchTarget(reader, prefix(dim), number))
    asked: list[int] = []
    real = search.prepare_queries

    def spy(vectors: Float32Array, contract: Contract, metric: Metric) -> Float32Array:
        asked.append(contract.dims)
        return real(vectors, contract, metric)

    monkeypatch.setattr(search, "prepare_queries", spy)
    search_segments(targets, np.ones((2, 4), np.float32), 3, Metric.COSINE)
    assert asked == [4, 2]


def test_deleted_items_are_gone(tmp_path: Path) -> None:
    vectors = np.eye(3, dtype=np.float32)
    one = target(tmp_path, (texts("a", "b", "c"), vectors), 1, metric=Metric.L2, deleted=[1])
    hits = search_segments([one], vectors[1:2], 2, Metric.L2)
    assert hits.ids.tolist() == [["a", "c"]]


def test_k_is_checked_against_live_items(tmp_path: Path) -> None:
    vectors = np.eye(3, dtype=np.float32)
    some = target(tmp_path, (np.arange(3), vectors), 1, metric=Metric.L2, deleted=[1])
    none = target(tmp_path, (np.arange(3, 6), vectors), 2, metric=Metric.L2, deleted=range(3))
    with pytest.raises(InvalidInputError, match="k is 3 but only 2 items"):
        search_segments([some, none], vectors, 3, Metric.L2)
    with pytest.raises(InvalidInputError, match="at least 1 but is 0"):
        search_segments([some], vectors, 0, Metric.L2)
    for empty in ([], [none]):
        with pytest.raises(InvalidInputError, match="no items to search"):
            search_segments(empty, vectors, 1, Metric.L2)
    assert search_segments([some, none], vectors, 2, Metric.L2).versions.tolist() == [[1, 1]] * 3
    assert search_segments([some], vectors[:0], 2, Metric.L2).ids.shape == (0, 2)


@pytest.mark.parametrize("is_text", [False, True])
def test_a_segment_that_finds_too_few_leaves_the_last_places_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_text: bool
) -> None:
    ids = texts("b", "a", "c") if is_text else np.array([2, 1, 3])
    one = target(tmp_path, (ids, np.eye(3, dtype=np.float32)), 7, metric=Metric.L2)
    found = search_segments([one], np.zeros((1, 3), np.float32), 3, Metric.L2)
    assert found.ids.tolist() == [sorted(ids.tolist())]
    neighbours = one.reader.search(np.zeros((1, 3), np.float32), 3, one.contract)
    neighbours.positions[0, 2], neighbours.scores[0, 2] = -1, -np.inf
    monkeypatch.setattr(type(one.reader), "search", lambda *_: neighbours)
    for targets in ([one], [one, one]):
        hits = search_segments(targets, np.zeros((1, 3), np.float32), 3, Metric.L2)
        n_found = 2 if len(targets) == 1 else 3
        assert hits.versions.tolist() == [[7] * n_found + [0] * (3 - n_found)]
        assert hits.ids[0, n_found:].tolist() == [None if is_text else -1] * (3 - n_found)


# --- the two sides of a contract


@given(seed=st.integers(0, 2**32), dims=st.integers(1, 6))
@settings(deadline=None)
def test_both_sides_are_cut_and_normalised_alike(seed: int, dims: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((5, 6)).astype(np.float32)
    vectors.flags.writeable = False
    for metric in Metric:
        asked = prepare_queries(vectors, prefix(dims), metric)
        stored = prepare_gallery(vectors, prefix(dims), metric)
        np.testing.assert_array_equal(asked, stored)
        assert asked.shape == (5, dims)
        assert asked.dtype == np.float32
        assert asked.flags.c_contiguous
        assert stored.flags.c_contiguous
        if metric is Metric.COSINE:
            np.testing.assert_allclose(np.linalg.norm(asked, axis=1), 1, rtol=1e-6)
        else:
            np.testing.assert_array_equal(asked, vectors[:, :dims])


def test_nothing_is_copied_when_there_is_nothing_to_do(rng: np.random.Generator) -> None:
    vectors = rng.standard_normal((5, 6)).astype(np.float32)
    assert np.shares_memory(prepare_queries(vectors, same_space(6), Metric.L2), vectors)
    assert np.shares_memory(prepare_gallery(vectors, same_space(6), Metric.L2), vectors)


def test_a_query_without_direction_is_refused() -> None:
    queries = np.array([[1, 0, 0], [0, 0, 1]], np.float32)
    with pytest.raises(InvalidInputError, match="1 of 2 queries are all zero in the first 2"):
        prepare_queries(queries, prefix(2), Metric.COSINE)
    prepare_queries(queries, prefix(3), Metric.COSINE)
    prepare_queries(queries, prefix(2), Metric.L2)
    assert prepare_gallery(queries, prefix(2), Metric.COSINE).tolist() == [[1, 0], [0, 0]]


def test_too_few_dimensions_are_refused() -> None:
    vectors = np.ones((2, 3), np.float32)
    for prepare in (prepare_queries, prepare_gallery):
        with pytest.raises(DimensionMismatchError, match=r"have 3 dimensions.*first 4"):
            prepare(vectors, prefix(4), Metric.L2)


def test_unclean_queries_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="float64"):
        prepare_queries(np.ones((2, 3)), prefix(2), Metric.COSINE)  # type: ignore[arg-type]
