import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.arrays import LabelArray
from registry.errors import CorruptFileError
from registry.galleries.evidence_files import redact
from tests.registry.service.builders import make_evidence

TOP = "products@2 -> products@1 | top ids"


def read(data: bytes) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = pq.read_table(io.BytesIO(data)).to_pydict()
    return found


def texts(*names: str) -> LabelArray:
    return np.array(names, dtype=object)


def test_ids_go_and_every_number_stays() -> None:
    data = make_evidence(["q", "sku-1", "r"], [["sku-1", "b"], [], ["c", "sku-1", "sku-2"]])
    found = redact(data, texts("sku-1", "sku-9", "sku-2"), "it")
    assert found is not None
    assert found.found.tolist() == [True, False, True]
    assert (found.n_queries, found.n_hits) == (1, 3)
    before, after = read(data), read(found.data)
    assert after.pop("query") == ["q", "[erased 2]", "r"]
    assert after.pop(TOP) == [[None, "b"], [], ["c", None, None]]
    assert after == {name: before[name] for name in after}
    assert b"sku-1" in data
    assert b"sku-1" not in found.data
    schemas = [pq.read_schema(io.BytesIO(d)) for d in (data, found.data)]
    assert schemas[0].equals(schemas[1])


def test_whole_numbers_are_found_as_numbers_and_as_text() -> None:
    data = make_evidence(["7", "17"], [[17, 7], [70]])
    found = redact(data, np.array([7]), "it")
    assert found is not None
    assert (found.n_queries, found.n_hits) == (1, 1)
    after = read(found.data)
    assert after["query"] == ["[erased 1]", "17"]
    assert after[TOP] == [[17, None], [70]]
    assert after["label"] == ["a", "a"], "labels are of classes"


def test_items_of_the_other_type_are_not_among_the_first_ones() -> None:
    data = make_evidence(["q"], [[17]])
    assert redact(data, texts("17"), "it") is None
    assert redact(make_evidence(["q"], [["17"]]), np.array([17]), "it") is None


def test_what_names_none_of_them_is_left_alone() -> None:
    assert redact(make_evidence(["q"], [["a"]]), texts("b"), "it") is None
    assert redact(make_evidence(), texts("b"), "it") is None


def test_it_can_be_done_again() -> None:
    data = make_evidence(["a", "b"], [["a", "b"], ["b", "a"]])
    first = redact(data, texts("a"), "it")
    assert first is not None
    assert redact(first.data, texts("a"), "it") is None
    second = redact(first.data, texts("b"), "it")
    assert second is not None
    assert read(second.data)["query"] == ["[erased 1]", "[erased 2]"]
    assert read(second.data)[TOP] == [[None, None], [None, None]]


@pytest.mark.parametrize(
    ("queries", "units"),
    [
        (["30", "4", "100"], [30, 4, 100]),  # whole numbers, ordered as such
        (["b", "a", "10"], ["b", "a", "10"]),
        (["b", "a", "c"], [0, 1, 2]),  # the unit is the query
    ],
)
def test_queries_that_are_their_own_labels_become_numbers_in_the_same_order(
    queries: list[str], units: list[Any]
) -> None:
    data = make_evidence(queries, [], labels=queries, units=units)
    found = redact(data, texts(queries[1]), "it")
    assert found is not None
    after = read(found.data)
    assert after["query"] == [queries[0], "[erased 2]", queries[2]]
    assert queries[1] not in after["label"]
    assert after["label"] == [str(unit) for unit in after["unit"]]
    assert np.argsort(after["unit"]).tolist() == np.argsort(np.array(units)).tolist()


@pytest.mark.parametrize("data", [b"", b"numbers", make_evidence()[:-9]])
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptFileError, match="it cannot be read, so nobody can say") as caught:
        redact(data, texts("a"), "it")
    assert "remove the file" in str(caught.value.hint)


def test_a_table_of_something_else_is_refused() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"x": [1]}), buffer)
    with pytest.raises(CorruptFileError, match="no column 'query'"):
        redact(buffer.getvalue(), texts("a"), "it")
