"""The file of a probe set: one Parquet table of names, its digests, and taking names out of it.

Columns are ``query``, ``label`` and, if there are groups, ``group``; then either ``item`` and
``item label``, or ``judged query``, ``judged item`` and ``gain``. A column ends in empty places if
others are longer.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..arrays import BoolArray, LabelArray
from ..arrow_columns import metadata_of
from ..domain.canonical import digest_json
from ..domain.probe_sets import ProbeFacts, ProbeKind
from ..errors import CorruptFileError, in_one_line

QUERY, LABEL, GROUP = "query", "label", "group"
ITEM, ITEM_LABEL = "item", "item label"
JUDGED_QUERY, JUDGED_ITEM, GAIN = "judged query", "judged item", "gain"
_FORMAT = "samespace.probe-set"
_VERSION = "1"
_OF_QUERIES, _OF_ITEMS = (QUERY, LABEL, GROUP), (ITEM, ITEM_LABEL)
_OF_JUDGEMENTS = (JUDGED_QUERY, JUDGED_ITEM, GAIN)


@dataclass(frozen=True, slots=True, eq=False)
class RedactedProbe:
    """A probe set without some ids.

    Attributes:
        data: the new file's bytes.
        facts: what is known of the new content; there may be no query left.
        found: which of the ids it named. Shape: (n_ids,).
        n_queries: queries that are gone: those of an erased id, and those whose last right answer
            was erased.
        n_items: labels of items, or judgements, that are gone.
    """

    data: bytes
    facts: ProbeFacts
    found: BoolArray
    n_queries: int
    n_items: int


def numbered(n: int) -> LabelArray:
    """Return names of rows that nobody named: they must not be taken for the items of that number.

    Shape: (n,).
    """
    return np.array([f"query {i}" for i in range(n)], dtype=np.str_)


def is_numbered(ids: LabelArray) -> bool:
    """Return whether nobody named these rows."""
    return np.array_equal(ids, numbered(len(ids)))


def digest_asked(ids: LabelArray, labels: LabelArray) -> str:
    """Return the SHA-256 of queries by id and label, in any order.

    Of queries that nobody named the labels count alone.
    """
    ids, labels = ids.astype(str), labels.astype(str)
    if is_numbered(ids):
        ids = np.full(len(ids), "")
    pairs = zip(ids.tolist(), labels.tolist(), strict=True)
    return digest_json([list(pair) for pair in sorted(pairs)])


def digest_columns(columns: Mapping[str, LabelArray]) -> str:
    """Return the SHA-256 of a probe set's columns, as text, so that 17 and "17" are one.

    Queries count in their order, which rows of vectors follow; items and judgements in any.
    """
    texts = {name: values.astype(str) for name, values in columns.items()}
    for names in (_OF_ITEMS, _OF_JUDGEMENTS):
        if names[0] in texts:
            order = np.lexsort([texts[name] for name in reversed(names)])
            texts |= {name: texts[name][order] for name in names}
    return digest_json({name: digest_json(values.tolist()) for name, values in texts.items()})


def write_columns(columns: Mapping[str, pa.Array]) -> bytes:
    """Return the bytes of the file."""
    longest = max(map(len, columns.values()))
    table = pa.table(
        {
            name: pa.concat_arrays([column, pa.nulls(longest - len(column), column.type)])
            for name, column in columns.items()
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({_FORMAT: _VERSION}), buffer, compression="zstd")
    return buffer.getvalue()


def read_columns(data: bytes, name: str) -> dict[str, pa.Array]:
    """Return the columns of a file; its bytes are known to be those that were recorded.

    Args:
        data: the bytes.
        name: what the set is called, for messages.

    Raises:
        CorruptFileError: if it is no such file, or one of a later samespace.
    """
    try:
        table: Any = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{name} is no Parquet file: {in_one_line(error)}") from error
    version = metadata_of(table).get(_FORMAT)
    if version != _VERSION:
        raise CorruptFileError(
            f"{name} is of format {version}, not {_VERSION}", hint="update samespace"
        )
    return {c: table.column(c).combine_chunks().drop_null() for c in table.column_names}


def redact_probe(data: bytes, ids: LabelArray, name: str) -> RedactedProbe | None:
    """Return a probe set's file without some ids, or None if it names none of them.

    Queries of these ids go with their row, items with their label, and judgements of either. So do
    queries that lose their last right answer by it: they would measure nothing. Ids are compared as
    text. Labels and groups stay.

    Args:
        data: the file's bytes, known to be those that were recorded.
        ids: distinct ids, int64 or str. Shape: (n_ids,).
        name: what the file is called, for messages.

    Raises:
        CorruptFileError: if it is no such file.
    """
    columns = read_columns(data, name)
    texts = {c: _texts(columns[c], name) for c in columns}
    if QUERY not in texts or LABEL not in texts or not (ITEM in texts or JUDGED_ITEM in texts):
        raise CorruptFileError(f"{name} holds no questions")
    are_numbered = is_numbered(texts[QUERY])
    # rows that nobody named are nobody's
    named = [texts[c] for c in (ITEM, JUDGED_ITEM, JUDGED_QUERY) if c in texts]
    named += [] if are_numbered else [texts[QUERY]]
    wanted = np.array([str(item) for item in ids.tolist()], dtype=np.str_)
    found = np.isin(wanted, np.concatenate(named))
    if not found.any():
        return None
    kept = _kept_rows(texts, wanted[found], are_numbered=are_numbered)
    left = {c: columns[c].filter(pa.array(kept[_side(c)])) for c in columns}
    n_queries = int((~kept[QUERY]).sum())
    if are_numbered and n_queries:
        left[QUERY] = pa.array(numbered(len(left[QUERY])).tolist(), left[QUERY].type)
    n_items = int((~kept[ITEM if ITEM in texts else JUDGED_ITEM]).sum())
    return RedactedProbe(write_columns(left), facts_of_columns(left), found, n_queries, n_items)


def facts_of_columns(columns: Mapping[str, pa.Array]) -> ProbeFacts:
    """Return what the registry keeps of a probe set beside its file."""
    arrays = {name: column.to_numpy(zero_copy_only=False) for name, column in columns.items()}
    return ProbeFacts(
        ProbeKind.LABELS if ITEM in columns else ProbeKind.JUDGEMENTS,
        len(arrays[QUERY]),
        digest_columns(arrays),
        digest_asked(arrays[QUERY], arrays[LABEL]),
    )


def _texts(column: pa.Array, name: str) -> LabelArray:
    try:
        return np.asarray(column.to_numpy(zero_copy_only=False)).astype(str)
    except (pa.ArrowException, ValueError) as error:
        raise CorruptFileError(f"{name} holds no questions: {in_one_line(error)}") from error


def _side(column: str) -> str:
    """Return the column that names the rows of another one."""
    if column in _OF_QUERIES:
        return QUERY
    return ITEM if column in _OF_ITEMS else JUDGED_ITEM


def _kept_rows(
    texts: Mapping[str, LabelArray], erased: LabelArray, *, are_numbered: bool
) -> dict[str, BoolArray]:
    """Return which rows stay: of queries, and of items or of judgements."""
    asked = texts[QUERY]
    before = _answered(texts)
    queries = np.ones(len(asked), np.bool_) if are_numbered else ~np.isin(asked, erased)
    if ITEM in texts:
        items = ~np.isin(texts[ITEM], erased)
        after = _answered(texts, items)
        return {QUERY: queries & (after | ~before), ITEM: items}
    judged = ~np.isin(texts[JUDGED_ITEM], erased) & ~np.isin(texts[JUDGED_QUERY], erased)
    queries &= _answered(texts, judged) | ~before
    return {QUERY: queries, JUDGED_ITEM: judged & np.isin(texts[JUDGED_QUERY], asked[queries])}


def _answered(texts: Mapping[str, LabelArray], kept: BoolArray | None = None) -> BoolArray:
    """Return which queries have a right answer, other than themselves, among the kept rows."""
    rows: Any = slice(None) if kept is None else kept
    if ITEM not in texts:
        gains = texts[GAIN][rows].astype(np.float64)
        return np.isin(texts[QUERY], texts[JUDGED_QUERY][rows][gains > 0])
    held = set(zip(texts[ITEM][rows].tolist(), texts[ITEM_LABEL][rows].tolist(), strict=True))
    n_with = Counter(label for _, label in held)
    asked = zip(texts[QUERY].tolist(), texts[LABEL].tolist(), strict=True)
    return np.array([n_with[pair[1]] > (pair in held) for pair in asked], dtype=np.bool_)
