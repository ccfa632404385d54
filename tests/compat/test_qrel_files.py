from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compat.evaluation import Qrels, relevance_from_qrels, score_rankings
from compat.qrel_files import read_beir, read_qrels
from registry.errors import CorruptFileError, InvalidInputError, NotFoundError
from registry.galleries.geometry import normalise
from tests.conftest import SHARED

TREC = "q1 0 a 2\nq1\t0\tb   0\n\nq2 0 a 1\r\n"
BEIR = "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\nq2\ta\t1\n"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("text", [TREC, BEIR, "\ufeff" + BEIR, BEIR.replace("\n", "\r\n")])
def test_both_formats_say_the_same(tmp_path: Path, text: str) -> None:
    found = read_qrels(written(tmp_path / "qrels", text))
    assert found.query_ids.tolist() == ["q1", "q1", "q2"]
    assert found.item_ids.tolist() == ["a", "b", "a"]
    assert found.gains.tolist() == [2, 0, 1]


def test_ids_between_tabs_may_hold_spaces(tmp_path: Path) -> None:
    text = "query-id\tcorpus-id\tscore\nq 1\tdoc 7\t1\n"
    assert read_qrels(written(tmp_path / "qrels", text)).item_ids.tolist() == ["doc 7"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q1 0 a\n", "line 1: 'q1 0 a' is no judgement"),
        ("q1 0 a 1\n\nq1 0 b one\n", "line 3: 'q1 0 b one' is no judgement"),
        ("q1 0 a nan\n", "is no judgement"),
        (BEIR + "q3\t\t1\n", "line 5"),
        (BEIR + "q3 0 c 1\n", "line 5"),
        ("", "holds no judgements"),
        ("query-id\tcorpus-id\tscore\n", "holds no judgements"),
        ("q1 0 a 1\nq1 0 a 2\n", "judged twice, with gains 1 and 2"),
    ],
)
def test_lines_that_are_no_judgements(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says) as refused:
        read_qrels(written(tmp_path / "qrels", text))
    assert str(tmp_path / "qrels") in str(refused.value)


def test_files_that_are_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_qrels(tmp_path / "qrels")
    (tmp_path / "qrels").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorruptFileError, match="not UTF-8"):
        read_qrels(tmp_path / "qrels")


def beir(folder: Path, **changed: str) -> Path:
    texts = {
        "queries.jsonl": '{"_id": "q2", "text": "two"}\n{"_id": "q9", "text": "of another split"}\n'
        '{"_id": "q1", "text": "one", "metadata": {}}\n',
        "corpus.jsonl": '{"_id": "a", "title": "A", "text": "first"}\n'
        '{"_id": "b", "text": "second"}\n',
        "qrels/test.tsv": BEIR,
    }
    for name, text in (texts | changed).items():
        written(folder / name, text)
    return folder


def test_a_folder_of_beir(tmp_path: Path) -> None:
    found = read_beir(beir(tmp_path))
    assert found.queries == {"q2": "two", "q1": "one"}
    assert list(found.queries) == ["q2", "q1"]
    assert found.items == {"a": ("A", "first"), "b": ("", "second")}
    assert found.qrels.gains.tolist() == [2, 0, 1]
    with pytest.raises(NotFoundError, match=r"train\.tsv"):
        read_beir(tmp_path, "train")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("queries.jsonl", '{"_id": "q1"}\n', "judged query ids .* 'q2'"),
        ("corpus.jsonl", '{"_id": "a"}\n', "judged item ids .* 'b'"),
        ("corpus.jsonl", '{"_id": "a"}\n{"_id": 7}\n', "line 2 is not a JSON object with an _id"),
        ("corpus.jsonl", "{\n", "line 1 is not a JSON object"),
        ("corpus.jsonl", '{"_id": "a"}\n\n{"_id": "a"}\n', "line 3: _id 'a' occurs twice"),
        ("qrels/test.tsv", BEIR.replace("a\t1", "a\t0"), "1 of 2 queries have no judgement above"),
    ],
)
def test_folders_that_do_not_fit(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read_beir(beir(tmp_path, **{name: text}))


def collection(name: str) -> dict[str, Any]:
    with gzip.open(SHARED / "data" / "text" / f"{name}.json.gz") as file:
        found: dict[str, Any] = json.load(file)
    return found


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "model", "ndcg"),
    [
        ("scifact", "minilm_l6", 0.6451),  # also the published figure
        ("scifact", "wordllama256", 0.5134),
        ("scifact", "minilm_l3", 0.5129),
        ("cranfield", "minilm_l6", 0.3736),
        ("cranfield", "wordllama256", 0.3076),
        ("cranfield", "minilm_l3", 0.3203),
    ],
)
def test_the_known_ndcg_of_real_models(name: str, model: str, ndcg: float) -> None:
    texts = collection(name)
    queries, items, gains = zip(*texts["qrels"]["test"], strict=True)
    qrels = Qrels(np.array(queries), np.array(items), np.array(gains, dtype=np.float64))
    relevance = relevance_from_qrels(
        qrels, np.array(list(texts["queries"]["test"])), np.array(list(texts["docs"]))
    )
    with np.load(SHARED / "data" / "embeddings" / f"{name}_{model}.npz") as archive:
        docs, asked = (archive[part].astype(np.float32) for part in ("docs", "q_test"))
    # the file's float16 rounds the norms, and two documents of Cranfield are empty
    docs, asked = normalise(docs), normalise(asked)
    found = score_rankings(asked, docs, relevance)
    assert round(float(found.ndcg[10].mean()), 4) == ndcg
