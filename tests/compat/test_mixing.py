from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compat.calibration import QueryMaps
from compat.cells import SearchedItems, measure_cell
from compat.mixing import MixedBlocks, MixedItems, MixedQueries, measure_mixed, nest_shares
from compat.probes import Labels
from registry import Contract, ContractKind, Metric
from tests.reference.ranking import summed

KS = (1, 3)
N_ITEMS, OLD_DIM, NEW_DIM = 24, 4, 6
PREFIX = Contract(ContractKind.PREFIX, OLD_DIM)
SAME = Contract(ContractKind.SAME_SPACE, NEW_DIM)


def random(rng: np.random.Generator, n: int, dim: int) -> Any:
    return rng.normal(size=(n, dim)).astype(np.float32)


def similarity(a: Any, b: Any, metric: Metric) -> float:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric is Metric.L2:
        return -float(((a - b) ** 2).sum())
    if metric is Metric.COSINE:
        a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    return float(a @ b)


def mixed(rng: np.random.Generator, is_new: Any, metric: Metric) -> MixedItems:
    old = np.array_split(random(rng, N_ITEMS, OLD_DIM), [5, 5, 17])
    held = SearchedItems(np.arange(N_ITEMS), np.arange(N_ITEMS) % 5, old)
    return MixedItems(held, random(rng, N_ITEMS, NEW_DIM), is_new, PREFIX, SAME, metric)


@pytest.mark.parametrize("metric", list(Metric))
def test_equals_a_double_loop_over_items_of_both_kinds(
    rng: np.random.Generator, metric: Metric
) -> None:
    """Each item is compared by the contract of its own version, and scores are merged raw."""
    items = mixed(rng, np.arange(N_ITEMS) % 3 == 1, metric)
    queries = random(rng, 7, NEW_DIM)
    asked = Labels(np.array([3, 101, 102, 103, 104, 105, 106]), np.arange(7) % 5)
    found = measure_mixed(MixedQueries(queries, queries), asked, items, ks=KS, top_k=4)
    old = np.concatenate(items.old.blocks)
    assert found.top is not None
    for i, query in enumerate(queries):
        scores = [
            similarity(query, items.new[j], metric)
            if items.is_new[j]
            else similarity(query[:OLD_DIM], old[j], metric)
            for j in range(N_ITEMS)
        ]
        kept = [j for j in range(N_ITEMS) if j != asked.ids[i]]
        is_relevant = [j % 5 == asked.labels[i] for j in kept]
        expected = summed([scores[j] for j in kept], is_relevant, KS)
        assert found.average_precision[i] == pytest.approx(expected.average_precision)
        assert {k: v[i] for k, v in found.hit.items()} == pytest.approx(expected.hit)
        best = sorted(kept, key=lambda j: -scores[j])[:4]
        assert found.top.positions[i].tolist() == best
        assert found.top.scores[i] == pytest.approx([scores[j] for j in best], rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("metric", list(Metric))
def test_each_part_may_have_its_own_queries_and_each_query_its_own_maps(
    rng: np.random.Generator, metric: Metric
) -> None:
    items = replace(
        mixed(rng, np.arange(N_ITEMS) % 3 == 1, metric),
        old_contract=Contract(ContractKind.OWN_ENCODER, OLD_DIM),
    )
    ours, theirs = random(rng, 7, NEW_DIM), random(rng, 7, OLD_DIM)
    maps = [QueryMaps(rng.uniform(0.5, 2, 7), rng.normal(size=7)) for _ in range(2)]
    asked = Labels(np.arange(7) + 100, np.arange(7) % 5)
    found = measure_mixed(MixedQueries(theirs, ours, *maps), asked, items, ks=KS, top_k=N_ITEMS)
    old = np.concatenate(items.old.blocks)
    assert found.top is not None
    for i in range(7):
        scores = [
            maps[1].scale[i] * similarity(ours[i], items.new[j], metric) + maps[1].offset[i]
            if items.is_new[j]
            else maps[0].scale[i] * similarity(theirs[i], old[j], metric) + maps[0].offset[i]
            for j in range(N_ITEMS)
        ]
        expected = summed(scores, [j % 5 == asked.labels[i] for j in range(N_ITEMS)], KS)
        assert found.average_precision[i] == pytest.approx(expected.average_precision)
        assert found.top.scores[i] == pytest.approx(
            sorted(scores, reverse=True), rel=1e-4, abs=1e-5
        )


@pytest.mark.parametrize("metric", list(Metric))
def test_with_nothing_or_all_new_it_is_the_plain_cell(
    rng: np.random.Generator, metric: Metric
) -> None:
    queries = random(rng, 6, NEW_DIM)
    asked = Labels(np.arange(6) + 100, np.arange(6) % 5)
    none = mixed(rng, np.zeros(N_ITEMS, np.bool_), metric)
    every = mixed(rng, np.ones(N_ITEMS, np.bool_), metric)
    again = SearchedItems(every.old.ids, every.old.labels, [every.new])
    for items, held, contract in ((none, none.old, PREFIX), (every, again, SAME)):
        found = measure_mixed(MixedQueries(queries, queries), asked, items, ks=KS)
        plain = measure_cell(queries, asked, held, contract=contract, metric=metric, ks=KS)
        for name, values in plain.by_name.items():
            assert found.metric(name) == pytest.approx(values)


def test_blocks_are_stacked_one_by_one(rng: np.random.Generator) -> None:
    blocks = MixedBlocks(mixed(rng, np.arange(N_ITEMS) < 7, Metric.INNER_PRODUCT))
    assert [block.shape for block in blocks] == [(5, 10), (0, 10), (12, 10), (7, 10)]
    whole = np.concatenate(list(blocks))
    assert whole[:7, :OLD_DIM].tolist() == np.zeros((7, OLD_DIM)).tolist()
    assert whole[7:, OLD_DIM:].tolist() == np.zeros((17, NEW_DIM)).tolist()
    assert blocks[-1].tolist() == blocks[3].tolist() == blocks[2:4][1].tolist()


def test_shares_are_nested(rng: np.random.Generator) -> None:
    quarter, half, most = nest_shares(40, (0.25, 0.5, 0.75), rng)
    assert [int(share.sum()) for share in (quarter, half, most)] == [10, 20, 30]
    assert not (quarter & ~half).any()
    assert not (half & ~most).any()
    assert not (quarter == nest_shares(40, (0.25,), rng)[0]).all()
