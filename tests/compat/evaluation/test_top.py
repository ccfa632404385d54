"""The first items of each query's ranking, merged from what is offered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.evaluation.ranking import TopItems
from registry.arrays import Float32Array


def first(row: Float32Array, k: int) -> list[int]:
    """A full sort by (score descending, position ascending), in plain Python."""
    return [i for _, i in sorted((-score, i) for i, score in enumerate(row.tolist()))][:k]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 3))
@settings(max_examples=50, deadline=None)
def test_offers_add_up(seed: int, k: int, largest: int) -> None:
    """Many of a query at a time, few, and none; many of them equal."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(-largest, largest, (4, 40), endpoint=True).astype(np.float32)
    is_offered = rng.random((4, 40)) < rng.random((4, 1))
    top = TopItems.empty(4, k)
    for start in (0, 9, 10, 30):
        stop = {0: 9, 9: 10, 10: 30, 30: 40}[start]
        rows, places = np.nonzero(is_offered[:, start:stop])
        top.offer(rows, start + places, scores[rows, start + places])
    for row in range(4):
        offered = np.flatnonzero(is_offered[row])
        expected = offered[first(scores[row, offered], k)].tolist()
        assert top.positions[row].tolist() == expected + [-1] * (k - len(expected))
        missing = [-np.inf] * (k - len(expected))
        assert top.scores[row].tolist() == scores[row, expected].tolist() + missing


@pytest.mark.parametrize("k", [1, 10, 5000])
@pytest.mark.parametrize("kind", ["mixed", "few values", "one value", "best last", "best first"])
def test_the_best_of_a_long_row(kind: str, k: int) -> None:
    """A sample tells what is likely among them, where it can."""
    rng = np.random.default_rng(0)
    row = rng.standard_normal(20_000).astype(np.float32)
    row = {
        "mixed": row,
        "few values": np.round(row),
        "one value": np.zeros_like(row),
        "best last": np.sort(row),
        "best first": np.sort(row)[::-1],
    }[kind]
    top = TopItems.empty(1, k)
    top.take_all(0, row[None])
    assert top.positions[0].tolist() == first(row, k)
    assert top.scores[0].tolist() == row[first(row, k)].tolist()
