from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compat.evaluation.ranking import RankingScores
from compat.evidence import read_evidence, write_evidence
from compat.probes import Labels
from registry.errors import CorruptFileError, DigestMismatchError

CELL = "products@2 -> products@1"


def scores(seed: int) -> RankingScores:
    a, b, c = np.random.default_rng(seed).random((3, 4))
    return RankingScores(a, {1: b}, {10: c}, np.ones(4, np.int64))


def read(data: bytes) -> Any:
    return pq.read_table(io.BytesIO(data)).to_pydict()


def test_holds_every_number_of_every_query() -> None:
    asked = Labels(np.arange(4), np.array(["a", "b", "a", "b"]), np.array([1, 1, 2, 2]))
    data, digest = write_evidence(asked, {CELL: scores(0)})
    assert hashlib.sha256(data).hexdigest() == digest
    assert read(data) == {
        "query": ["0", "1", "2", "3"],
        "label": ["a", "b", "a", "b"],
        "group": ["1", "1", "2", "2"],
        f"{CELL} | mAP": scores(0).average_precision.tolist(),
        f"{CELL} | hit@1": scores(0).hit[1].tolist(),
        f"{CELL} | recall@10": scores(0).recall[10].tolist(),
    }


def test_the_same_numbers_are_the_same_bytes() -> None:
    asked = Labels(np.arange(4), np.arange(4))
    first, second = (write_evidence(asked, {CELL: scores(0)}) for _ in range(2))
    assert first == second
    assert "group" not in read(first[0])
    assert write_evidence(asked, {CELL: scores(1)})[1] != first[1]


def test_is_read_back_as_it_was_written() -> None:
    asked = Labels(np.arange(4), np.array(["a", "b", "a", "b"]), np.array(["y", "x", "y", "x"]))
    table = read_evidence(*write_evidence(asked, {CELL: scores(0)}))
    assert table.queries == ("0", "1", "2", "3")
    assert table.labels == ("a", "b", "a", "b")
    assert {group: rows.tolist() for group, rows in table.rows().items()} == {
        "all": [0, 1, 2, 3],
        "x": [1, 3],
        "y": [0, 2],
    }
    assert set(table.cells[CELL]) == {"mAP", "hit@1", "recall@10"}
    np.testing.assert_array_equal(table.cells[CELL]["mAP"], scores(0).average_precision)


def test_without_groups_there_is_one() -> None:
    table = read_evidence(*write_evidence(Labels(np.arange(4), np.arange(4)), {CELL: scores(0)}))
    assert table.groups is None
    assert list(table.rows()) == ["all"]


def test_a_flipped_bit_is_found_before_anything_is_parsed() -> None:
    data, digest = write_evidence(Labels(np.arange(4), np.arange(4)), {CELL: scores(0)})
    for place in (0, len(data) // 2, len(data) - 1):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises(DigestMismatchError, match="expected sha256"):
            read_evidence(changed, digest)


def test_what_is_no_evidence_is_refused() -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"something": [1]}), buffer)
    for data in (b"no parquet", buffer.getvalue()):
        with pytest.raises(CorruptFileError, match="cannot be read"):
            read_evidence(data, hashlib.sha256(data).hexdigest())


def test_columns_that_are_no_numbers_are_left_to_others() -> None:
    """Such as the first items of each query."""
    data, _ = write_evidence(Labels(np.arange(4), np.arange(4)), {CELL: scores(0)})
    table = pq.read_table(io.BytesIO(data)).append_column(f"{CELL} | top", pa.array([["a"]] * 4))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    more = buffer.getvalue()
    assert "top" not in read_evidence(more, hashlib.sha256(more).hexdigest()).cells[CELL]
