from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compat.attempts import digest_questions
from compat.evaluation.qrels import Qrels
from compat.probe_files import Questions, facts_of, read_questions, write_questions
from compat.probes import Labels, Probe
from registry.domain.probe_sets import ProbeKind
from registry.errors import CorruptFileError, InvalidInputError

QUERIES = Labels(np.array(["q1", "q2", "q3"]), np.array([5, 6, 5]), np.array(["a", "b", "a"]))
ITEMS = Labels(np.array([10, 11, 12, 13]), np.array([5, 6, 6, 5]))
LABELLED = Questions(QUERIES, ITEMS)
QRELS = Qrels(
    np.array(["q1", "q2", "q2", "q3"]), np.array(["10", "11", "12", "13"]), np.array([1.0, 2, 0, 3])
)
JUDGED = Questions(Labels.judged(QUERIES.ids, QRELS, QUERIES.groups), None)
UNGROUPED = Questions(replace(QUERIES, groups=None), ITEMS)


def again(questions: Questions) -> Questions:
    return read_questions(write_questions(questions), "it")


@pytest.mark.parametrize("questions", [LABELLED, JUDGED, UNGROUPED])
def test_questions_are_read_as_they_were_written(questions: Questions) -> None:
    found = again(questions)
    assert facts_of(found) == facts_of(questions)
    probes = [Probe(q.queries, {}, q.items) for q in (questions, found)]
    assert probes[0].digest == probes[1].digest, "numbers stay numbers, and order is kept"
    assert found.queries.by_group.keys() == questions.queries.by_group.keys()
    assert (found.items is None) == (found.queries.qrels is not None)


def test_what_is_known_beside_the_file() -> None:
    labelled, judged = facts_of(LABELLED), facts_of(JUDGED)
    assert (labelled.kind, judged.kind) == (ProbeKind.LABELS, ProbeKind.JUDGEMENTS)
    assert labelled.n_queries == judged.n_queries == 3
    assert labelled.questions == digest_questions(QUERIES)
    assert labelled.digest != judged.digest


def test_numbers_and_their_text_are_the_same_content() -> None:
    texts = Questions(
        Labels(QUERIES.ids, QUERIES.labels.astype(str), QUERIES.groups),
        Labels(ITEMS.ids.astype(str), ITEMS.labels.astype(str)),
    )
    assert facts_of(texts) == facts_of(LABELLED)


def test_items_and_judgements_count_in_any_order_and_queries_in_theirs() -> None:
    back = slice(None, None, -1)
    turned = Questions(QUERIES, Labels(ITEMS.ids[back], ITEMS.labels[back]))
    assert facts_of(turned) == facts_of(LABELLED)
    rows = Qrels(QRELS.query_ids[back], QRELS.item_ids[back], QRELS.gains[back])
    judged = Questions(Labels.judged(QUERIES.ids, rows, QUERIES.groups), None)
    assert facts_of(judged) == facts_of(JUDGED)
    assert QUERIES.groups is not None
    queries = Labels(QUERIES.ids[back], QUERIES.labels[back], QUERIES.groups[back])
    other = facts_of(Questions(queries, ITEMS))
    assert other.digest != facts_of(LABELLED).digest
    assert other.questions == facts_of(LABELLED).questions, "they are the same queries"


def test_the_digest_changes_with_everything_that_is_asked() -> None:
    others = [
        LABELLED,
        UNGROUPED,
        JUDGED,
        Questions(replace(QUERIES, ids=np.array(["q1", "q2", "q4"])), ITEMS),
        Questions(replace(QUERIES, labels=np.array([5, 6, 6])), ITEMS),
        Questions(replace(QUERIES, groups=np.array(["a", "b", "b"])), ITEMS),
        Questions(QUERIES, replace(ITEMS, ids=np.array([10, 11, 12, 14]))),
        Questions(QUERIES, replace(ITEMS, labels=np.array([5, 6, 6, 6]))),
        Questions(QUERIES, Labels(ITEMS.ids[:3], ITEMS.labels[:3])),
        Questions(
            Labels.judged(QUERIES.ids, replace(QRELS, gains=QRELS.gains + 1), QUERIES.groups), None
        ),
    ]
    assert len({facts_of(one).digest for one in others}) == len(others)


def test_the_file_is_a_table_of_names_that_anybody_reads() -> None:
    table = pq.read_table(io.BytesIO(write_questions(LABELLED)))
    assert table.column_names == ["query", "label", "group", "item", "item label"]
    assert table.column("query").to_pylist() == ["q1", "q2", "q3", None]
    assert table.column("item").to_pylist() == [10, 11, 12, 13]
    judged = pq.read_table(io.BytesIO(write_questions(JUDGED)))
    assert judged.column("gain").to_pylist() == [1.0, 2.0, 0.0, 3.0]


def test_either_labels_of_items_or_judgements() -> None:
    for queries, items in ((QUERIES, None), (JUDGED.queries, ITEMS)):
        with pytest.raises(InvalidInputError, match="either labels of the gallery's items or"):
            Questions(queries, items)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cannot be written as UTF-8"):
        write_questions(Questions(replace(QUERIES, ids=np.array(["a", "b", "\ud800"])), ITEMS))


def written(change: Any) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(change(pq.read_table(io.BytesIO(write_questions(LABELLED)))), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"no table at all", "it is no Parquet file"),
        (write_questions(LABELLED)[:-9], "it is no Parquet file"),
        (written(lambda t: t.replace_schema_metadata({})), "it is of format None, not 1"),
        (
            written(lambda t: t.replace_schema_metadata({"samespace.probe-set": "2"})),
            "it is of format 2, not 1",
        ),
        (written(lambda t: t.drop_columns(["item"])), "it holds no questions: KeyError: 'item'"),
        (
            written(lambda t: t.set_column(0, "query", pa.array([1.5, 2.5, 3.5, None]))),
            "it holds no questions: .*ids must be one row of integers or strings",
        ),
        (
            written(lambda t: t.set_column(1, "label", pa.array([5, 6, None, None]))),
            "it holds no questions: .*differ in length",
        ),
    ],
)
def test_what_is_no_such_file_is_said_in_one_line(data: bytes, says: str) -> None:
    with pytest.raises(CorruptFileError, match=says) as caught:
        read_questions(data, "it")
    assert "\n" not in str(caught.value)
