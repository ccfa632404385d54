"""Queries with few relevant items, whose ranks are counted while the gallery streams by."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from compat.evaluation import (
    RankingScores,
    Relevance,
    _scoring,
    _streaming,
    _ties,
    score_rankings,
)
from compat.evaluation._jobs import Job
from compat.evaluation._streaming import Few, rank_few
from compat.evaluation._ties import Ranks
from compat.evaluation.ranking import TopItems
from registry.arrays import Float32Array, Int64Array
from tests.compat.evaluation.test_ranking import assert_scores, expected_scores

KS = (1, 3, 10)


def whole_vectors(rng: np.random.Generator, n: int, dim: int, largest: int = 2) -> Float32Array:
    return rng.integers(-largest, largest, (n, dim), endpoint=True).astype(np.float32)


class World:
    """Classes from one item to many, in a gallery of several chunks with many equal scores."""

    def __init__(self, seed: int, *, n_items: int = 9000, n_queries: int = 24) -> None:
        rng = np.random.default_rng(seed)
        self.queries = whole_vectors(rng, n_queries, 6)
        self.gallery = whole_vectors(rng, n_items, 6)
        sizes = rng.choice([1, 2, 5, 30, 33, 200], 4000)
        self.labels = rng.permutation(np.repeat(np.arange(4000), sizes)[:n_items])
        asked = rng.choice(np.unique(self.labels), n_queries)
        self.relevance = Relevance.from_labels(asked, self.labels)
        gains = rng.integers(1, 4, len(self.relevance.indices)).astype(np.float64)
        self.relevance = replace(self.relevance, gains=gains)
        excluded = np.where(rng.random(n_queries) < 0.5, rng.integers(0, n_items, n_queries), -1)
        alone = self.relevance.without(excluded).n_relevant == 0
        self.excluded = np.where(alone, -1, excluded)

    def order_by(self, order: Int64Array) -> None:
        """Store the gallery in another order."""
        place = np.argsort(order)
        rows = np.repeat(np.arange(len(self.queries)), self.relevance.n_relevant)
        moved = place[self.relevance.indices]
        sort = np.lexsort((moved, rows))
        assert self.relevance.gains is not None
        gains = self.relevance.gains[sort]
        self.relevance = replace(self.relevance, indices=moved[sort], gains=gains)
        self.gallery = self.gallery[order]
        self.excluded = np.where(self.excluded < 0, -1, place[self.excluded])

    def scores(self, metric: str) -> Float32Array:
        if metric == "inner_product":
            return self.queries @ self.gallery.T
        found: Float32Array = 2 * (self.queries @ self.gallery.T) - np.square(self.gallery).sum(1)
        return found

    def score(self, metric: Any, **given: Any) -> RankingScores:
        return score_rankings(
            self.queries,
            self.gallery,
            self.relevance,
            ks=KS,
            excluded=self.excluded,
            metric=metric,
            **given,
        )


def assert_top(found: RankingScores, scores: Float32Array, excluded: Int64Array, k: int) -> None:
    """A full sort by (score descending, position ascending), in plain Python."""
    assert found.top is not None
    for q, row in enumerate(scores.tolist()):
        items = [(-s, i) for i, s in enumerate(row) if i != excluded[q]]
        first = sorted(items)[:k]
        missing = k - len(first)
        assert found.top.positions[q].tolist() == [i for _, i in first] + [-1] * missing
        assert found.top.scores[q].tolist() == [-s for s, _ in first] + [-np.inf] * missing


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
@pytest.mark.parametrize("order", ["mixed", "nearest last", "nearest first"])
def test_equals_the_naive_evaluation(metric: str, order: str) -> None:
    """Also where the first chunk says nothing about the others."""
    world = World(1)
    if order != "mixed":
        nearness = world.scores(metric).mean(axis=0)
        world.order_by(np.argsort(nearness if order == "nearest last" else -nearness))
    found, scores = world.score(metric, top_k=7), world.scores(metric)
    assert_scores(found, expected_scores(scores, world.relevance, world.excluded, KS), 1e-10)
    assert_top(found, scores, world.excluded, 7)
    n_relevant = world.relevance.without(world.excluded).n_relevant
    assert n_relevant.min() <= 2  # both ways of counting were taken
    assert n_relevant.max() > _streaming.FEW


@pytest.mark.parametrize("memory_bytes", [150_000, 600_000, 2**28])
def test_memory_and_blocks_do_not_matter(memory_bytes: int) -> None:
    world = World(2)
    whole = world.score("inner_product", top_k=5)
    parts = score_rankings(
        world.queries,
        [world.gallery[:5000], world.gallery[5000:]],
        world.relevance,
        ks=KS,
        excluded=world.excluded,
        memory_bytes=memory_bytes,
        top_k=5,
    )
    for name in whole.names:
        assert np.array_equal(whole.metric(name), parts.metric(name))
    assert whole.top is not None
    assert parts.top is not None
    assert np.array_equal(whole.top.positions, parts.top.positions)


@pytest.mark.parametrize("n_threads", [2, 3, 50])
def test_threads_do_not_matter(n_threads: int) -> None:
    world = World(4)
    one, several = (world.score("l2", top_k=5, n_threads=n) for n in (1, n_threads))
    for name in one.names:
        assert np.array_equal(one.metric(name), several.metric(name))
    assert one.top is not None
    assert several.top is not None
    assert np.array_equal(one.top.positions, several.top.positions)


@pytest.mark.parametrize("n_threads", [2, 3])
def test_threads_that_share_pieces_do_not_matter(n_threads: int) -> None:
    world = World(5, n_queries=400)
    assert _pieces_of(world, n_threads) == n_threads  # otherwise nothing is shared
    for metric in ("inner_product", "l2"):
        one, several = (world.score(metric, top_k=5, n_threads=n) for n in (1, n_threads))
        scores = world.scores(metric)
        assert_scores(several, expected_scores(scores, world.relevance, world.excluded, KS), 1e-10)
        for name in one.names:
            assert np.array_equal(one.metric(name), several.metric(name))


def _pieces_of(world: World, n_threads: int) -> int:
    job = Job(
        world.queries,
        [world.gallery],
        world.relevance,
        world.excluded,
        is_l2=False,
        top_k=0,
        memory_bytes=2**28,
        n_threads=n_threads,
    )
    return job._pieces(len(world.queries))[0]


def test_calls_that_overlap_leave_blas_its_threads() -> None:
    world = World(6, n_queries=400)
    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(4) as pool:
        found = [pool.submit(world.score, "l2", top_k=5, n_threads=2) for _ in range(8)]
        one = world.score("l2", top_k=5)
        for call in found:
            assert np.array_equal(call.result().average_precision, one.average_precision)
        assert {a["num_threads"] for a in threadpool_info() if a["user_api"] == "blas"} == {2}


def test_an_item_that_does_not_tie_with_itself_is_not_counted_in_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score = _streaming._score_relevant

    def rounded(*args: Any) -> Float32Array:
        return score(*args) + np.float32(1e-3)

    monkeypatch.setattr(_streaming, "_score_relevant", rounded)
    with pytest.raises(ArithmeticError, match="BLAS threads"):
        World(7).score("inner_product", top_k=5)


def test_no_thread_is_refused() -> None:
    with pytest.raises(ValueError, match="n_threads must be at least 1 but is 0"):
        World(8).score("l2", top_k=5, n_threads=0)


@pytest.mark.parametrize("dim", [450, 500, 700])
def test_an_item_scores_the_same_however_many_threads_blas_has(dim: int) -> None:
    """Each query has one relevant item, the nearest: rounding must not put it above itself."""
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((5000, dim), dtype=np.float32)
    asked = rng.integers(0, 5000, 300)
    noise = rng.standard_normal((300, dim), dtype=np.float32)
    queries = np.float32(0.3) * gallery[asked] + np.float32(0.7) * noise
    relevance = Relevance.from_labels(asked, np.arange(5000))
    with threadpool_limits(2, user_api="blas"):
        found = score_rankings(queries, gallery, relevance, n_threads=2)
    best = np.argmax(queries.astype(float) @ gallery.T.astype(float), axis=1)
    assert np.array_equal(found.average_precision == 1, best == asked)


class Items:
    """Nine queries with relevant items, some beside the query and the others among all."""

    def __init__(self, n_beside: Sequence[int], n_among: Sequence[int]) -> None:
        rng = np.random.default_rng(0)
        self.gallery = whole_vectors(rng, 20_000, 8, 30)
        self.queries = whole_vectors(rng, 9, 8, 30)
        self.scores = self.queries @ self.gallery.T
        best = np.argsort(-self.scores, axis=1)
        rows = [
            np.unique(np.concatenate([row[: 2 * near : 2], rng.integers(0, 20_000, far)]))
            for row, near, far in zip(best, n_beside, n_among, strict=True)
        ]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
        self.relevance = Relevance(indptr, np.concatenate(rows), 20_000)
        self.nobody = np.full(9, -1)

    def rank_few(self) -> tuple[Int64Array, Ranks, TopItems | None] | None:
        few = Few(
            self.queries,
            [self.gallery],
            self.relevance,
            self.nobody,
            is_l2=False,
            n_rows=4,
            top_k=3,
            n_threads=1,
        )
        return rank_few(few)

    def ranks(self, queries: Sequence[int]) -> Ranks:
        """Count without any trick."""
        relevance = self.relevance.take(np.array(queries))
        above, tied = [], []
        for place, query in enumerate(queries):
            mine = relevance.rows(place, place + 1).indices
            own = np.sort(self.scores[query, mine])[::-1, None]
            above.append((self.scores[query] > own).sum(axis=1))
            tied.append((self.scores[query] == own).sum(axis=1))
        return Ranks.from_counts(relevance.indptr, np.concatenate(above), np.concatenate(tied))


@pytest.mark.parametrize(("n_beside", "n_among"), [(3, 0), (0, 3), (5, 5), (40, 2)])
def test_near_and_deep_items_are_counted_alike(n_beside: int, n_among: int) -> None:
    items = Items([n_beside] * 9, [n_among] * 9)
    found = items.rank_few()
    assert found is not None
    order, ranks, top = found
    assert sorted(order.tolist()) == list(range(9))
    expected = items.ranks(order.tolist())
    assert ranks.above.tolist() == expected.above.tolist()
    assert ranks.tied.tolist() == expected.tied.tolist()
    assert top is not None
    best = np.argsort(-items.scores[order], axis=1, kind="stable")[:, :3]
    assert top.positions.tolist() == best.tolist()


def test_queries_with_many_deep_items_are_left() -> None:
    """They are quicker with all of their scores held; both ways give one evaluation."""
    assert Items([0] * 9, [60] * 9).rank_few() is None
    items = Items([2] * 9, [60] * 7 + [1, 60])
    found = items.rank_few()
    assert found is not None
    assert found[0].tolist() == [7]
    scores = score_rankings(items.queries, items.gallery, items.relevance, ks=KS, top_k=3)
    expected = items.ranks(range(9))
    assert np.array_equal(scores.average_precision, _ties.average_precision(expected))
    assert np.array_equal(scores.recall[10], _ties.recall(expected, 10))
    assert_top(scores, items.scores, items.nobody, 3)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 5, 40, _scoring.CHUNK, _scoring.CHUNK + 3]),
    st.sampled_from([1, 4, 50, 600]),
    st.sampled_from([1, 2]),
)
@settings(max_examples=25, deadline=None)
def test_the_first_items_are_those_of_a_full_sort(seed: int, n: int, k: int, largest: int) -> None:
    rng = np.random.default_rng(seed)
    queries, gallery = whole_vectors(rng, 6, 3, largest), whole_vectors(rng, n, 3, largest)
    labels = np.arange(n) % max(1, n // 3)
    asked = rng.choice(labels, 6)
    relevance = Relevance.from_labels(asked, labels)
    excluded = np.full(6, -1)
    found = score_rankings(queries, gallery, relevance, top_k=k)
    assert_top(found, queries @ gallery.T, excluded, k)


def test_a_collapsed_model_ranks_by_position_and_scores_by_chance() -> None:
    n = 3 * _scoring.CHUNK + 9
    gallery, queries = np.ones((n, 4), np.float32), np.ones((300, 4), np.float32)
    relevance = Relevance.from_labels(np.zeros(300, np.int64), np.arange(n) // 10)
    found = score_rankings(queries, gallery, relevance, ks=(1,), top_k=3)
    assert found.top is not None
    assert found.top.positions.tolist() == [[0, 1, 2]] * 300
    np.testing.assert_allclose(found.hit[1], 10 / n, rtol=1e-12)


class Blocks(Sequence[Float32Array]):
    """A gallery that is made block by block and never whole."""

    def __init__(self, n: int, size: int) -> None:
        self.n, self.size = n, size

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        if index >= self.n:
            raise IndexError
        return np.random.default_rng(index).standard_normal((self.size, 2)).astype(np.float32)


@pytest.mark.parametrize("n_blocks", [4, 100])
def test_memory_does_not_grow_with_the_gallery(n_blocks: int) -> None:
    gallery, budget = Blocks(n_blocks, 3000), 8 * 2**20
    n = n_blocks * 3000  # all scores of 200 queries would be 240 MB
    rng = np.random.default_rng(0)
    indices = np.sort(rng.integers(0, n // 5, (200, 5)) + np.arange(5) * (n // 5), axis=1)
    relevance = Relevance(np.arange(201) * 5, indices.ravel(), n)
    queries = rng.standard_normal((200, 2)).astype(np.float32)
    tracemalloc.start()
    try:
        score_rankings(queries, gallery, relevance, memory_bytes=budget, top_k=10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < budget


def test_no_first_items_unless_asked() -> None:
    vectors = np.eye(3, dtype=np.float32)
    relevance = Relevance.from_labels(np.arange(3), np.arange(3))
    assert score_rankings(vectors, vectors, relevance).top is None
    with pytest.raises(ValueError, match="top_k must be at least 0 but is -1"):
        score_rankings(vectors, vectors, relevance, top_k=-1)
