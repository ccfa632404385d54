from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from compat.evaluation.qrels import Qrels
from compat.probe_files import Questions, facts_of, read_questions, write_questions
from compat.probes import Labels
from registry.errors import CorruptFileError
from registry.galleries.probe_files import (
    RedactedProbe,
    numbered,
    read_columns,
    redact_probe,
    write_columns,
)

QUERIES = Labels(
    np.array(["q1", "q2", "q3", "10"]), np.array([5, 6, 5, 7]), np.array(["a", "b", "a", "b"])
)
ITEMS = Labels(np.array([10, 11, 12, 13, 14]), np.array([7, 6, 5, 5, 7]))
LABELLED = Questions(QUERIES, ITEMS)
QRELS = Qrels(
    np.array(["q1", "q2", "q2", "q3", "10"]),
    np.array(["10", "11", "12", "13", "13"]),
    np.array([1.0, 2, 0, 3, 1]),
)
JUDGED = Questions(Labels.judged(QUERIES.ids, QRELS, QUERIES.groups), None)


def without(questions: Questions, *ids: Any) -> RedactedProbe | None:
    return redact_probe(write_questions(questions), np.array(ids), "it")


def asked(found: RedactedProbe | None) -> Questions:
    """What is left, once it is known to be what the facts say."""
    assert found is not None
    questions = read_questions(found.data, "it")
    assert facts_of(questions) == found.facts
    return questions


def test_an_item_goes_with_its_label() -> None:
    found = without(LABELLED, 12, 99)
    left = asked(found)
    assert found is not None
    assert (found.found.tolist(), found.n_queries, found.n_items) == ([True, False], 0, 1)
    assert left.items is not None
    assert left.items.ids.tolist() == [10, 11, 13, 14], "numbers stay numbers"
    assert left.items.labels.tolist() == [7, 6, 5, 7]
    assert left.queries.ids.tolist() == QUERIES.ids.tolist()


@pytest.mark.parametrize("ids", [["q1"], ["q1", "nobody"]])
def test_a_query_goes_with_its_row(ids: list[str]) -> None:
    found = without(LABELLED, *ids)
    left = asked(found)
    assert found is not None
    assert (found.n_queries, found.n_items) == (1, 0)
    assert left.queries.ids.tolist() == ["q2", "q3", "10"]
    assert left.queries.labels.tolist() == [6, 5, 7]
    assert left.queries.groups is not None
    assert left.queries.groups.tolist() == ["b", "a", "b"]


@pytest.mark.parametrize("item", [10, "10"])
def test_an_item_that_is_a_query_goes_from_both_sides(item: Any) -> None:
    found = without(LABELLED, item)
    left = asked(found)
    assert found is not None
    assert (found.n_queries, found.n_items) == (1, 1)
    assert left.queries.ids.tolist() == ["q1", "q2", "q3"]


def test_a_query_without_any_answer_goes_as_well() -> None:
    """Query "10" is item 10, which is no answer to itself; item 14 was the only other."""
    for item, gone in ((14, "10"), (11, "q2")):
        found = without(LABELLED, item)
        left = asked(found)
        assert found is not None
        assert (found.n_queries, found.n_items) == (1, 1)
        assert left.queries.ids.tolist() == [q for q in QUERIES.ids.tolist() if q != gone]


def test_a_query_that_never_had_an_answer_stays() -> None:
    odd = replace(LABELLED, queries=replace(QUERIES, labels=np.array([5, 6, 5, 99])))
    assert asked(without(odd, 12)).queries.ids.tolist() == QUERIES.ids.tolist()


def test_judgements_go_with_either_side() -> None:
    found = without(JUDGED, "13")
    left = asked(found).queries
    assert found is not None
    assert (found.n_queries, found.n_items) == (2, 2), "q3 and 10 had no other answer"
    assert left.ids.tolist() == ["q1", "q2"]
    assert left.qrels is not None
    assert left.qrels.item_ids.tolist() == ["10", "11", "12"]
    by_query = without(JUDGED, "q2")
    left = asked(by_query).queries
    assert by_query is not None
    assert (by_query.n_queries, by_query.n_items) == (1, 2)
    assert left.labels.tolist() == ["q1", "q3", "10"], "each its own label"
    assert left.qrels is not None
    assert left.qrels.query_ids.tolist() == ["q1", "q3", "10"]


def test_a_judged_no_is_no_answer() -> None:
    found = without(JUDGED, "11")
    assert asked(found).queries.ids.tolist() == ["q1", "q3", "10"]
    assert found is not None
    assert found.n_items == 2, "a judgement of a query that is gone goes too"


def test_rows_that_nobody_named_are_nobody() -> None:
    plain = replace(LABELLED, queries=Labels(numbered(4), QUERIES.labels))
    assert without(plain, "query 1") is None
    left = asked(without(plain, 11)).queries
    assert left.ids.tolist() == numbered(3).tolist(), "they are numbered again"
    assert left.labels.tolist() == [5, 5, 7]


def test_what_names_none_of_them_is_left_alone() -> None:
    assert without(LABELLED, 99) is None
    assert without(JUDGED, "5") is None, "labels and groups are no ids"


@pytest.mark.parametrize("questions", [LABELLED, JUDGED])
def test_all_of_it_may_go(questions: Questions) -> None:
    found = without(questions, "q1", "q2", "q3", "10")
    assert found is not None
    assert found.facts.n_queries == 0
    assert b"q1" not in repr(read_columns(found.data, "it")).encode()


@pytest.mark.parametrize("names", [["query", "label"], ["label", "item"], ["query", "item"]])
def test_a_file_of_other_columns_is_refused(names: list[str]) -> None:
    data = write_columns({name: pa.array(["a"]) for name in names})
    with pytest.raises(CorruptFileError, match="it holds no questions"):
        redact_probe(data, np.array(["a"], object), "it")


def test_what_is_no_probe_set_is_refused() -> None:
    with pytest.raises(CorruptFileError, match="it is no Parquet file"):
        redact_probe(b"questions", np.array([1]), "it")
