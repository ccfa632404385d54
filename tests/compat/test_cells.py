from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat.cells import PreparedBlocks, SearchedItems, measure_cell, own_positions
from compat.probes import Labels
from registry import Contract, ContractKind, Metric
from tests.reference.ranking import summed

KS = (1, 3)


def prefix(dims: int) -> Contract:
    return Contract(ContractKind.PREFIX, dims)


def random(rng: np.random.Generator, n: int, dim: int) -> Any:
    return rng.normal(size=(n, dim)).astype(np.float32)


def similarity(a: Any, b: Any, metric: Metric) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric is Metric.L2:
        return -float(((a - b) ** 2).sum())
    if metric is Metric.COSINE:
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(a @ b)


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize("n_blocks", [1, 3])
@pytest.mark.parametrize(("query_dim", "item_dim", "dims"), [(6, 6, 6), (6, 4, 4), (4, 6, 3)])
def test_equals_a_double_loop(
    rng: np.random.Generator,
    metric: Metric,
    n_blocks: int,
    query_dim: int,
    item_dim: int,
    dims: int,
) -> None:
    queries, items = random(rng, 7, query_dim), random(rng, 20, item_dim)
    asked = Labels(np.arange(7) + 100, np.arange(7) % 4)
    labels = np.arange(20) % 4
    held = SearchedItems(np.arange(20), labels, np.array_split(items, n_blocks))
    found = measure_cell(queries, asked, held, contract=prefix(dims), metric=metric, ks=KS)
    for i, query in enumerate(queries):
        scores = [similarity(query[:dims], item[:dims], metric) for item in items]
        expected = summed(scores, (labels == asked.labels[i]).tolist(), KS)
        assert found.average_precision[i] == pytest.approx(expected.average_precision)
        assert {k: v[i] for k, v in found.hit.items()} == pytest.approx(expected.hit)
        assert {k: v[i] for k, v in found.recall.items()} == pytest.approx(expected.recall)


@pytest.mark.parametrize("metric", list(Metric))
def test_the_first_items_come_with_the_scores_of_a_search(
    rng: np.random.Generator, metric: Metric
) -> None:
    queries, items = random(rng, 3, 5), random(rng, 8, 4)
    asked = Labels(np.array([2, 100, 101]), np.zeros(3, int))  # the first one is an item itself
    held = SearchedItems(np.arange(8), np.zeros(8, int), [items[:3], items[3:]])
    found = measure_cell(queries, asked, held, contract=prefix(4), metric=metric, ks=KS, top_k=3)
    assert found.top is not None
    for i, query in enumerate(queries):
        scores = np.array([similarity(query[:4], item, metric) for item in items])
        if i == 0:
            scores[2] = -np.inf
        best = np.argsort(-scores)[:3]
        assert found.top.positions[i].tolist() == best.tolist()
        assert found.top.scores[i] == pytest.approx(scores[best], rel=1e-4, abs=1e-5)


def test_a_prefix_is_normalised_again() -> None:
    """Both items are unit vectors; the first is nearer, but its prefix is the shorter one."""
    items = np.array([[0.3, 0.0, 0.954], [0.6, 0.8, 0.0]], np.float32)
    query = np.array([[1.0, 0.0]], np.float32)
    held = SearchedItems(np.arange(2), np.array([0, 1]), [items])
    asked = Labels(np.array([9]), np.array([0]))
    cut = {"contract": prefix(2), "ks": (1,)}
    assert measure_cell(query, asked, held, metric=Metric.COSINE, **cut).hit[1].tolist() == [1]  # type: ignore[arg-type]
    plain = measure_cell(query, asked, held, metric=Metric.INNER_PRODUCT, **cut)  # type: ignore[arg-type]
    assert plain.hit[1].tolist() == [0]


def test_prepared_blocks_are_a_sequence_that_holds_one_block_at_a_time(
    rng: np.random.Generator,
) -> None:
    blocks = [random(rng, 5, 4), random(rng, 3, 4)]
    made = PreparedBlocks(blocks, prefix(2), Metric.COSINE)
    assert len(made) == 2
    assert [block.shape for block in made] == [(5, 2), (3, 2)]
    assert np.linalg.norm(made[1], axis=1) == pytest.approx(1)
    sliced = made[1:]
    assert isinstance(sliced, PreparedBlocks)
    assert (sliced[0] == made[1]).all()


def test_a_query_is_found_among_the_items_by_id() -> None:
    numbers, texts = np.array([3, 1, 7]), np.array(["1", "x", "3"], dtype=object)
    assert own_positions(np.array([7, 8, 1]), numbers).tolist() == [2, -1, 1]
    assert own_positions(numbers, texts).tolist() == [2, 0, -1]
    assert own_positions(texts, numbers).tolist() == [1, -1, 0]


def test_a_query_does_not_find_itself(rng: np.random.Generator) -> None:
    items = random(rng, 6, 4)
    labels = np.array([0, 0, 1, 1, 2, 2])
    held = SearchedItems(np.arange(6), labels, [items])
    alone = measure_cell(
        items, Labels(np.arange(6), labels), held, contract=prefix(4), metric=Metric.COSINE, ks=KS
    )
    assert alone.n_relevant.tolist() == [1] * 6
    assert alone.hit[1].mean() < 1
    strangers = Labels(np.arange(6) + 10, labels)
    found = measure_cell(items, strangers, held, contract=prefix(4), metric=Metric.COSINE, ks=KS)
    assert found.hit[1].tolist() == [1] * 6
