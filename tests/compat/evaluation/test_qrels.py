from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compat.evaluation import Qrels, relevance_from_qrels
from registry.arrays import LabelArray

JUDGED = [("q1", "a", 2), ("q2", "c", 1), ("q1", "b", 0), ("q1", "c", 3), ("q2", "a", -1)]


def qrels_of(rows: Sequence[tuple[object, object, float]]) -> Qrels:
    queries, items, gains = zip(*rows, strict=True)
    return Qrels(np.array(queries), np.array(items), np.array(gains, dtype=np.float64))


def test_judgements_become_positions_with_gains() -> None:
    relevance = relevance_from_qrels(
        qrels_of([*JUDGED, ("q1", "a", 2)]), np.array(["q2", "q1"]), np.array(["c", "b", "a"])
    )
    assert relevance.indptr.tolist() == [0, 1, 3]
    assert relevance.indices.tolist() == [0, 0, 2]
    assert relevance.gains is not None
    assert relevance.gains.tolist() == [1, 3, 2]
    assert relevance.n_gallery == 3


@given(
    st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 6)), st.integers(-1, 3), min_size=1)
)
@settings(max_examples=100, deadline=None)
def test_equals_a_double_loop(judged: dict[tuple[int, int], int]) -> None:
    qrels = qrels_of([(q, i, gain) for (q, i), gain in judged.items()])
    queries, items = np.array([2, 0, 3, 1]), np.array([4, 0, 5, 3, 1])
    found = relevance_from_qrels(qrels, queries, items, is_part=True)
    assert found.gains is not None
    for row, query in enumerate(queries.tolist()):
        expected = [
            (place, float(judged[query, item]))
            for place, item in enumerate(items.tolist())
            if judged.get((query, item), 0) > 0
        ]
        mine = slice(found.indptr[row], found.indptr[row + 1])
        pairs = list(zip(found.indices[mine].tolist(), found.gains[mine].tolist(), strict=True))
        assert pairs == expected


def test_numbers_and_texts_are_one_name() -> None:
    relevance = relevance_from_qrels(
        qrels_of([("7", "1", 1)]), np.array([7]), np.array([0, 1], dtype=np.int64)
    )
    assert relevance.indices.tolist() == [1]


@pytest.mark.parametrize(
    ("rows", "queries", "items", "says"),
    [
        (JUDGED, ["q1"], ["a", "b", "c"], "1 judged query ids .* the queries, for example 'q2'"),
        (JUDGED, ["q1", "q2"], ["a", "b"], "1 judged item ids .* gallery, for example 'c'"),
        (JUDGED, ["q1", "q2", "q3"], ["a", "b", "c"], "1 of 3 queries .* for example query 'q3'"),
        (JUDGED, ["q1", "q0", "q2"], ["a", "b", "c"], "1 of 3 .* 'q0'; leave"),
        (
            JUDGED,
            ["q1", "q2", "q1"],
            ["a", "b", "c"],
            "query ids must differ but 'q1' occurs twice",
        ),
        (JUDGED, ["q1", "q2"], ["a", "b", "b"], "item ids must differ but 'b' occurs twice"),
    ],
)
def test_what_does_not_fit_is_refused(
    rows: Sequence[tuple[object, object, float]], queries: list[str], items: list[str], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        relevance_from_qrels(qrels_of(rows), np.array(queries), np.array(items))


def test_a_part_of_the_gallery_leaves_the_rest_out() -> None:
    part = relevance_from_qrels(
        qrels_of(JUDGED), np.array(["q1", "q2"]), np.array(["a"]), is_part=True
    )
    assert part.n_relevant.tolist() == [1, 0]
    nothing: LabelArray = np.array([], dtype=np.int64)
    empty = relevance_from_qrels(qrels_of(JUDGED), np.array(["q1", "q2"]), nothing, is_part=True)
    assert empty.n_relevant.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("queries", "items", "gains", "says"),
    [
        (["q", "q"], ["a", "a"], [1.0, 2.0], "'q' and item 'a' are judged twice, with gains 1 and"),
        (["q"], ["a"], [np.nan], "gains must be finite but one is nan"),
        (["q"], ["a", "b"], [1.0, 1.0], "one length"),
        ([], [], [], "not empty"),
    ],
)
def test_judgements_are_checked(
    queries: list[str], items: list[str], gains: list[float], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        Qrels(np.array(queries), np.array(items), np.array(gains))


def test_which_first_hits_are_relevant() -> None:
    relevance = relevance_from_qrels(
        qrels_of(JUDGED), np.array(["q1", "q2"]), np.array(["a", "b", "c"])
    )
    assert relevance.holds(np.array([0, 0])).tolist() == [True, False]
    assert relevance.holds(np.array([1, 2])).tolist() == [False, True]
    assert relevance.holds(np.array([-1, -1])).tolist() == [False, False]
