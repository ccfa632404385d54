from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from compat.evaluation.ranking import RankingScores
from compat.evidence import write_evidence
from compat.probes import Labels

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
