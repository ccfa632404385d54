"""The file of a registered probe set: one Parquet table of names, no vectors and no raw data."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from registry.arrays import LabelArray
from registry.arrow_columns import id_column, metadata_of
from registry.domain.canonical import digest_json
from registry.domain.probe_sets import ProbeFacts, ProbeKind
from registry.errors import CorruptFileError, InvalidInputError, in_one_line

from .attempts import digest_questions
from .evaluation.qrels import Qrels
from .probes import Labels, digest_array

_FORMAT = "samespace.probe-set"
_VERSION = "1"
_QUERY, _LABEL, _GROUP = "query", "label", "group"
_ITEM, _ITEM_LABEL = "item", "item label"
_JUDGED_QUERY, _JUDGED_ITEM, _GAIN = "judged query", "judged item", "gain"


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """What is asked, and what says which items are relevant.

    Attributes:
        queries: ids, labels and groups of the queries, or their judgements.
        items: labels of the gallery's items, by id; None if the queries carry judgements.
    """

    queries: Labels
    items: Labels | None

    def __post_init__(self) -> None:
        if (self.items is None) == (self.queries.qrels is None):
            raise InvalidInputError(
                "questions have either labels of the gallery's items or judgements of the queries",
                hint="give the one of them that says which items are relevant",
            )


def facts_of(questions: Questions) -> ProbeFacts:
    """Return what the registry keeps of questions beside their file."""
    return ProbeFacts(
        ProbeKind.LABELS if questions.items is not None else ProbeKind.JUDGEMENTS,
        len(questions.queries.ids),
        digest_content(questions),
        digest_questions(questions.queries),
    )


def digest_content(questions: Questions) -> str:
    """Return the SHA-256 of all that is asked, as text, so that 17 and "17" are one.

    Queries count in their order, which rows of vectors follow; items and judgements in any.
    """
    asked, items, qrels = questions.queries, questions.items, questions.queries.qrels
    columns: dict[str, LabelArray] = {_QUERY: asked.ids, _LABEL: asked.labels}
    if asked.groups is not None:
        columns[_GROUP] = asked.groups
    if items is not None:
        columns |= _in_order({_ITEM: items.ids, _ITEM_LABEL: items.labels})
    if qrels is not None:
        judged = {_JUDGED_QUERY: qrels.query_ids, _JUDGED_ITEM: qrels.item_ids, _GAIN: qrels.gains}
        columns |= _in_order(judged)
    return digest_json({name: digest_array(a.astype(str)) for name, a in columns.items()})


def _in_order(columns: dict[str, LabelArray]) -> dict[str, LabelArray]:
    texts = {name: values.astype(str) for name, values in columns.items()}
    order = np.lexsort(list(reversed(texts.values())))
    return {name: values[order] for name, values in texts.items()}


def write_questions(questions: Questions) -> bytes:
    """Return the bytes of a Parquet file; a column ends in empty places if others are longer.

    Columns are ``query``, ``label`` and, if there are groups, ``group``; then either ``item`` and
    ``item label``, or ``judged query``, ``judged item`` and ``gain``. Numbers stay numbers.

    Raises:
        InvalidInputError: if a name is not valid Unicode.
    """
    asked, items, qrels = questions.queries, questions.items, questions.queries.qrels
    columns = {_QUERY: _names(asked.ids), _LABEL: _names(asked.labels)}
    if asked.groups is not None:
        columns[_GROUP] = _names(asked.groups)
    if items is not None:
        columns |= {_ITEM: _names(items.ids), _ITEM_LABEL: _names(items.labels)}
    if qrels is not None:
        columns |= {
            _JUDGED_QUERY: _names(qrels.query_ids),
            _JUDGED_ITEM: _names(qrels.item_ids),
            _GAIN: pa.array(qrels.gains.astype(np.float64)),
        }
    longest = max(map(len, columns.values()))
    table = pa.table({name: _padded(column, longest) for name, column in columns.items()})
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_FORMAT: _VERSION}), buffer, compression="zstd")
    return buffer.getvalue()


def _names(values: LabelArray) -> Any:
    return pa.array(values) if values.dtype.kind in "iu" else id_column(values.astype(str))


def _padded(column: Any, length: int) -> Any:
    return pa.concat_arrays([column, pa.nulls(length - len(column), column.type)])


def read_questions(data: bytes, name: str) -> Questions:
    """Read what `write_questions` wrote; the bytes are known to be those that were registered.

    Args:
        data: the bytes.
        name: what the set is called, for messages.

    Raises:
        CorruptFileError: if it is no such file, or one of a later samespace.
    """
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{name} is no Parquet file: {in_one_line(error)}") from error
    version = metadata_of(table).get(_FORMAT)
    if version != _VERSION:
        raise CorruptFileError(
            f"{name} is of format {version}, not {_VERSION}", hint="update samespace"
        )
    try:
        return _questions({c: table.column(c).drop_null().to_numpy() for c in table.column_names})
    except (KeyError, ValueError) as error:
        raise CorruptFileError(f"{name} holds no questions: {in_one_line(error)}") from error


def _questions(columns: dict[str, LabelArray]) -> Questions:
    qrels = None
    if _GAIN in columns:
        judged = columns[_JUDGED_QUERY], columns[_JUDGED_ITEM], columns[_GAIN]
        qrels = Qrels(*judged)
    queries = Labels(columns[_QUERY], columns[_LABEL], columns.get(_GROUP), qrels)
    items = None if qrels is not None else Labels(columns[_ITEM], columns[_ITEM_LABEL])
    return Questions(queries, items)
