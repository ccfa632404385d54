from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compat import served
from compat.cells import SearchedItems
from compat.probes import Labels
from compat.served import find_served, measure_served
from registry import Hits, Metric

IDS = np.arange(20, 32)
LABELS = np.arange(12) % 3
ITEMS = SearchedItems(IDS, LABELS, [])
NOTHING = np.zeros((2, 1), np.float32)


@pytest.fixture
def finds(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the search find given ids, -1 where there are no more."""

    def let(rows: Any) -> None:
        ids = np.asarray(rows)
        scores = np.where(ids < 0, -np.inf, 1.0).astype(np.float32)
        hits = Hits(ids, scores, np.where(ids < 0, 0, 1))
        monkeypatch.setattr(
            served, "search_segments", lambda _t, _q, k, _m: Hits(*(a[:, :k] for a in parts(hits)))
        )

    return let


def parts(hits: Hits) -> Any:
    return hits.ids, hits.scores, hits.versions


def test_what_the_search_finds_is_what_counts(finds: Any) -> None:
    finds([[21, 20, 23, *[-1] * 8], [22, 25, 24, 28, 31, 20, 21, 23, 26, 27, 29]])
    asked = Labels(np.array([1, 2]), np.array([0, 2]))
    found = measure_served([], NOTHING, asked, ITEMS, Metric.COSINE)
    assert {name: values.tolist() for name, values in found.items()} == {
        "hit@1": [0.0, 1.0],
        "hit@5": [1.0, 1.0],
        "recall@10": [0.5, 1.0],
    }


def test_a_query_does_not_find_itself(finds: Any) -> None:
    finds([[20, 23, 21], [21, 24, -1]])
    asked = Labels(np.array([20, 23]), np.array([0, 0]))
    found = find_served([], NOTHING, asked, ITEMS, Metric.COSINE, depth=2)
    assert found.tolist() == [[True, False], [False, False]]


def test_ids_that_nothing_has_are_not_relevant(finds: Any) -> None:
    finds([[99, 20], [-1, -1]])
    asked = Labels(np.array([1, 2]), np.array([0, 0]))
    found = find_served([], NOTHING, asked, ITEMS, Metric.COSINE, depth=1)
    assert found.tolist() == [[False], [False]]
