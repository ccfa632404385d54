"""Taking ids out of evidence files, and leaving every number as it is.

In the place of a query's id stands a mark with its row; in the place of an item among the first
ones of a query stands nothing (null). Labels stay, for the bounds rest on them. Where queries are
their own labels, as with judgements, all labels become numbers in the same order, so that the
bounds are still drawn alike.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..arrays import BoolArray, Int64Array, LabelArray
from ..domain.evidence import LABEL, QUERY, SEPARATOR, TOP_IDS, UNIT, erased_query
from ..errors import CorruptFileError, in_one_line


@dataclass(frozen=True, slots=True)
class RedactedFile:
    """Evidence without some ids.

    Attributes:
        data: the new file's bytes.
        found: which of the ids it named. Shape: (n_ids,).
        n_queries: rows of which one was the query.
        n_hits: places in which one was among the first items.
    """

    data: bytes
    found: BoolArray
    n_queries: int
    n_hits: int


def redact(data: bytes, ids: LabelArray, name: str) -> RedactedFile | None:
    """Return an evidence file without some ids, or None if it names none of them.

    Args:
        data: the file's bytes, known to be those that were recorded.
        ids: distinct ids, int64 or str. Shape: (n_ids,).
        name: what the file is called, for messages.

    Raises:
        CorruptFileError: if it is no Parquet file with a column of queries.
    """
    table = _read(data, name)
    found = np.zeros(len(ids), np.bool_)
    table, n_queries = _redact_queries(table, ids, found)
    n_hits = 0
    for column in table.column_names:
        if column.endswith(SEPARATOR + TOP_IDS):
            redacted, n = _redact_hits(table.column(column).combine_chunks(), ids, found)
            table = _with_column(table, column, redacted)
            n_hits += n
    if not found.any():
        return None
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return RedactedFile(buffer.getvalue(), found, n_queries, n_hits)


def named_ids(data: bytes, name: str) -> frozenset[str]:
    """Return every id that an evidence file names, as text; arguments and errors as `redact`'s."""
    table = _read(data, name)
    found = set(table.column(QUERY).to_pylist())
    for column in table.column_names:
        if column.endswith(SEPARATOR + TOP_IDS):
            ids = table.column(column).combine_chunks().values.unique().drop_null()
            found.update(str(item) for item in ids.to_pylist())
    return frozenset(found)


def _read(data: bytes, name: str) -> Any:
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(name, in_one_line(error)) from error
    if QUERY not in table.column_names:
        raise _unreadable(name, f"it has no column {QUERY!r}")
    return table


def _unreadable(name: str, why: str) -> CorruptFileError:
    return CorruptFileError(
        f"{name} cannot be read, so nobody can say whether it names the items: {why}",
        hint="restore it from a backup; or remove the file, which ends its certificate, and erase",
    )


def _redact_queries(table: Any, ids: LabelArray, found: BoolArray) -> tuple[Any, int]:
    asked = table.column(QUERY).combine_chunks()
    texts = pa.array([str(item) for item in ids.tolist()], pa.string())
    rows = _rows_of(asked, texts, found)
    if not len(rows):
        return table, 0
    names = asked.to_pylist()
    for row in rows.tolist():
        names[row] = erased_query(row)
    table = _with_column(_number_labels(table, asked), QUERY, pa.array(names, asked.type))
    return table, len(rows)


def _number_labels(table: Any, asked: Any) -> Any:
    """Replace labels, and units, by their ranks if they are the queries' own ids."""
    if LABEL not in table.column_names or not table.column(LABEL).combine_chunks().equals(asked):
        return table
    units = table.column(UNIT).to_numpy() if UNIT in table.column_names else None
    ranks = np.arange(len(asked))
    if units is not None and units.astype(str).tolist() == asked.to_pylist():
        plain = units.astype(str) if units.dtype == object else units
        ranks = np.unique(plain, return_inverse=True)[1].astype(np.int64)
        table = _with_column(table, UNIT, pa.array(ranks))
    return _with_column(table, LABEL, pa.array(ranks.astype(str).tolist(), pa.string()))


def _with_column(table: Any, name: str, values: Any) -> Any:
    return table.set_column(table.column_names.index(name), name, values)


def _rows_of(values: Any, wanted: Any, found: BoolArray) -> Int64Array:
    """Return which values are wanted, and note which of the wanted ones are there."""
    places = pc.index_in(values, value_set=wanted)
    rows = np.flatnonzero(pc.is_valid(places).to_numpy(zero_copy_only=False))
    found[places.drop_null().to_numpy()] = True
    return rows


def _redact_hits(lists: Any, ids: LabelArray, found: BoolArray) -> tuple[Any, int]:
    values = lists.values
    is_int = pa.types.is_integer(values.type)
    if is_int != (ids.dtype == np.int64):
        return lists, 0
    wanted = pa.array(ids if is_int else ids.tolist(), values.type)
    rows = _rows_of(values, wanted, found)
    mask = np.zeros(len(values), np.bool_)
    mask[rows] = True
    left = pc.if_else(pa.array(mask), pa.scalar(None, values.type), values)
    return pa.ListArray.from_arrays(lists.offsets, left), len(rows)
