from __future__ import annotations

import hashlib
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compat.evaluation.operating_points import ErrorCurve
from compat.evaluation.ranking import RankingScores, TopItems
from compat.evidence import Evidence, read_evidence, write_evidence
from compat.probes import Labels
from compat.scored import OperatingPoint, ScoredCell
from registry.errors import DigestMismatchError, InvalidInputError

CELL = "products@2 -> products@1"
ITEMS = np.array(["x", "y", "z"])
TOP = TopItems(
    np.array([[2, 0], [1, -1], [-1, -1], [0, 1]]),
    np.array([[0.5, 0.25], [1, -np.inf], [-np.inf, -np.inf], [0, -1]], np.float32),
)


def scores(seed: int) -> RankingScores:
    a, b, c = np.random.default_rng(seed).random((3, 4))
    return RankingScores(a, {1: b}, {10: c}, np.ones(4, np.int64))


def evidence(seed: int = 0) -> Evidence:
    return Evidence(
        asked=Labels(np.arange(4), np.array(["a", "b", "a", "b"]), np.array([1, 1, 2, 2])),
        units=np.array([10, 9, 10, 9]),
        n_relevant=np.array([3, 1, 2, 1]),
        cells={CELL: scores(seed).by_name},
        planted={"random model": scores(5).by_name, "served search": {"hit@1": np.ones(4)}},
        top={CELL: TOP},
    )


def read(data: bytes) -> Any:
    return pq.read_table(io.BytesIO(data)).to_pydict()


def test_holds_all_that_the_verdict_rests_on() -> None:
    data, digest = write_evidence(evidence(), ITEMS)
    assert hashlib.sha256(data).hexdigest() == digest
    assert read(data) == {
        "query": ["0", "1", "2", "3"],
        "label": ["a", "b", "a", "b"],
        "group": ["1", "1", "2", "2"],
        "unit": [10, 9, 10, 9],
        "relevant": [3, 1, 2, 1],
        f"{CELL} | mAP": scores(0).average_precision.tolist(),
        f"{CELL} | hit@1": scores(0).hit[1].tolist(),
        f"{CELL} | recall@10": scores(0).recall[10].tolist(),
        f"{CELL} | top ids": [["z", "x"], ["y"], [], ["x", "y"]],
        f"{CELL} | top scores": [[0.5, 0.25], [1.0], [], [0.0, -1.0]],
        "control: random model | mAP": scores(5).average_precision.tolist(),
        "control: random model | hit@1": scores(5).hit[1].tolist(),
        "control: random model | recall@10": scores(5).recall[10].tolist(),
        "control: served search | hit@1": [1.0] * 4,
    }


def test_ids_that_are_numbers_stay_numbers() -> None:
    data, _ = write_evidence(evidence(), np.array([7, 8, 9]))
    assert read(data)[f"{CELL} | top ids"] == [[9, 7], [8], [], [7, 8]]


def test_the_same_numbers_are_the_same_bytes() -> None:
    bare = replace(evidence(), asked=Labels(np.arange(4), np.arange(4)), top={})
    first, second = (write_evidence(bare, ITEMS) for _ in range(2))
    assert first == second
    assert "group" not in read(first[0])
    assert write_evidence(replace(bare, cells=evidence(1).cells), ITEMS)[1] != first[1]


@pytest.mark.parametrize("units", [np.array([10, 9, 10, 9]), np.array(["b", "a", "b", "a"])])
def test_what_was_written_is_read(units: Any) -> None:
    given = replace(evidence(), units=units)
    found = read_evidence(*write_evidence(given, ITEMS), "it")
    assert found.asked.ids.tolist() == ["0", "1", "2", "3"]
    assert {name: rows.tolist() for name, rows in found.asked.by_group.items()} == {
        name: rows.tolist() for name, rows in given.asked.by_group.items()
    }
    assert (found.units.dtype, found.units.tolist()) == (units.dtype, units.tolist())
    assert found.n_relevant.tolist() == [3, 1, 2, 1]
    for got, want in ((found.cells, given.cells), (found.planted, given.planted)):
        assert list(got) == list(want)
        for name, by_metric in want.items():
            assert list(got[name]) == list(by_metric)
            for metric, values in by_metric.items():
                assert got[name][metric].tobytes() == values.tobytes()


SCORED = ScoredCell(
    np.array([0.5, 1, 0.25, -1], np.float32),
    np.array([0.25, 0.5, 0.75, -2], np.float32),
    (OperatingPoint("FAR=0.1", 0.5, (0.4, 0.6), 0.09), OperatingPoint("score=0.5", 0.5, (), 0.2)),
    ErrorCurve(np.array([0.9, 0.1], np.float32), np.array([0, 0.5]), np.array([1, 0.25])),
)


def test_scores_and_operating_points_are_read_back() -> None:
    given = replace(evidence(), scored={CELL: SCORED})
    data, digest = write_evidence(given, ITEMS)
    assert write_evidence(given, ITEMS) == (data, digest)
    assert read(data)[f"{CELL} | best genuine"] == [0.5, 1, 0.25, -1]
    found = read_evidence(data, digest, "it")
    assert list(found.cells[CELL]) == ["mAP", "hit@1", "recall@10"]  # scores are no metrics
    assert list(found.scored) == [CELL]
    one = found.scored[CELL]
    assert one.points == SCORED.points
    assert [p.is_deployed for p in one.points] == [False, True]
    assert one.genuine.tolist() == SCORED.genuine.tolist()
    assert one.impostor.tolist() == SCORED.impostor.tolist()
    for name in ("thresholds", "false_match_rates", "false_non_match_rates"):
        assert getattr(one.curve, name).tolist() == getattr(SCORED.curve, name).tolist()


@pytest.mark.parametrize(
    "points", ["{", "[]", '{"a -> b": {}}', f'{{"{CELL}": {{"points": [{{}}], "curve": {{}}}}}}']
)
def test_operating_points_that_make_no_sense_are_refused(points: str) -> None:
    data, _ = write_evidence(replace(evidence(), scored={CELL: SCORED}), ITEMS)
    table = pq.read_table(io.BytesIO(data))
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"samespace.operating_points": points}), buffer)
    data = buffer.getvalue()
    with pytest.raises(InvalidInputError, match=r"it\.parquet: "):
        read_evidence(data, hashlib.sha256(data).hexdigest(), "it.parquet")


def test_whether_a_class_was_seen_is_a_column_if_it_is_known() -> None:
    given = evidence()
    seen = np.array([True, False, False, True])
    data, digest = write_evidence(replace(given, asked=replace(given.asked, seen=seen)), ITEMS)
    assert read(data)["seen"] == seen.tolist()
    found = read_evidence(data, digest, "it")
    assert found.asked.seen is not None
    assert found.asked.seen.tolist() == seen.tolist()
    assert list(found.rows())[-2:] == ["seen classes", "unseen classes"]
    assert "seen" not in read(write_evidence(given, ITEMS)[0])


def test_a_flipped_bit_is_named_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    data, digest = write_evidence(evidence(), ITEMS)
    monkeypatch.setattr(pq, "read_table", lambda *_: pytest.fail("it was parsed"))
    for position in (0, len(data) // 2, len(data) - 1):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises(DigestMismatchError, match=f"it.parquet is not .* expected .* {digest}"):
            read_evidence(bytes(changed), digest, "it.parquet")


def test_what_is_no_evidence_is_refused() -> None:
    for data, said in (
        (b"PAR1", "no Parquet file"),
        (
            table({"query": ["a"], "label": ["b"], f"{CELL} | mAP": [1.0]}),
            "lacks the column 'unit'",
        ),
        (
            table({"query": ["a"], "label": ["b"], "unit": [1], "relevant": [1], "a | mAP": ["x"]}),
            "column 'a | mAP' is object, not float64",
        ),
        (
            table({"query": ["a"], "label": ["b"], "unit": [1], "relevant": [1], "seen": ["yes"]}),
            "column 'seen' is object, not bool",
        ),
        (table({"query": [], "label": [], "unit": [], "relevant": []}), "lacks any row"),
    ):
        with pytest.raises(InvalidInputError, match=re.escape(said)):
            read_evidence(data, hashlib.sha256(data).hexdigest(), "it")


def table(columns: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()
