"""Files of relevance judgements: TREC's qrels, and the folders of BEIR."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from registry.errors import CorruptFileError, InvalidInputError, NotFoundError, StorageError

from .evaluation.qrels import Qrels, relevance_from_qrels

_BEIR_HEADER = ["query-id", "corpus-id", "score"]
_FORMATS = "a line is 'query 0 item gain' (TREC), or query, item and gain between tabs (BEIR)"


@dataclass(frozen=True, slots=True, eq=False)
class BeirFolder:
    """What a folder in BEIR's layout holds of one split.

    Attributes:
        queries: text of each judged query, by id, in the order of the file.
        items: title and text of each item of the corpus, by id, in the order of the file.
        qrels: the judgements.
    """

    queries: Mapping[str, str]
    items: Mapping[str, tuple[str, str]]
    qrels: Qrels


def read_qrels(path: Path) -> Qrels:
    """Read TREC's ``query 0 item gain``, or BEIR's table with a header and tabs.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is not text.
        InvalidInputError: if a line is not a judgement, or two disagree.
    """
    lines = [(i, line) for i, line in enumerate(_lines(path), start=1) if line.strip()]
    is_beir = bool(lines) and lines[0][1].strip("\r").split("\t") == _BEIR_HEADER
    rows = [_judgement(path, i, line, is_beir) for i, line in lines[is_beir:]]
    if not rows:
        raise InvalidInputError(f"{path} holds no judgements", hint=_FORMATS)
    queries, items, gains = zip(*rows, strict=True)
    try:
        return Qrels(np.array(queries), np.array(items), np.array(gains, dtype=np.float64))
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}") from error


def read_beir(folder: Path, split: str = "test") -> BeirFolder:
    """Read ``queries.jsonl``, ``corpus.jsonl`` and ``qrels/SPLIT.tsv``.

    Queries that the split does not judge are left out: BEIR keeps those of all splits in one file.

    Raises:
        NotFoundError: if one of them is missing.
        CorruptFileError: if one is not text.
        InvalidInputError: if a line breaks the format, or the files do not belong together.
    """
    path = folder / "qrels" / f"{split}.tsv"
    qrels = read_qrels(path)
    judged = set(qrels.query_ids.tolist())
    queries = {
        name: str(found.get("text", ""))
        for name, found in _records(folder / "queries.jsonl").items()
        if name in judged
    }
    items = {
        name: (str(found.get("title", "")), str(found.get("text", "")))
        for name, found in _records(folder / "corpus.jsonl").items()
    }
    try:
        relevance_from_qrels(qrels, np.array(list(queries)), np.array(list(items)))
    except ValueError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    return BeirFolder(queries, items, qrels)


def _judgement(path: Path, number: int, line: str, is_beir: bool) -> tuple[str, str, float]:
    columns = line.strip("\r").split("\t") if is_beir else line.split()
    if len(columns) == (3 if is_beir else 4):
        query, item, gain = columns[0], columns[-2], _number(columns[-1])
        if query and item and math.isfinite(gain):
            return query, item, gain
    raise InvalidInputError(f"{path}, line {number}: {line!r} is no judgement", hint=_FORMATS)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _records(path: Path) -> dict[str, dict[str, object]]:
    """Return the JSON objects of a file with one a line, by their ``_id``."""
    found: dict[str, dict[str, object]] = {}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict) or not isinstance(record.get("_id"), str):
            raise InvalidInputError(
                f"{path}, line {number} is not a JSON object with an _id",
                hint='a line is {"_id": "…", "text": "…"}',
            )
        if record["_id"] in found:
            raise InvalidInputError(
                f"{path}, line {number}: _id {record['_id']!r} occurs twice", hint="keep one"
            )
        found[record["_id"]] = record
    return found


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}")
    try:
        return path.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CorruptFileError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error
