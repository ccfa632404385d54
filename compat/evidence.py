"""Evidence: all that a certificate's verdict rests on, one row a query, as one Parquet file."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from registry.arrays import BoolArray, Float64Array, Int64Array, LabelArray
from registry.domain.canonical import canonical_json
from registry.errors import DigestMismatchError, InvalidInputError, in_one_line

from .evaluation.ranking import TopItems
from .matrix import ByMetric
from .probes import Labels
from .scored import ScoredCell

SEPARATOR = " | "
CONTROL = "control: "
TOP_IDS, TOP_SCORES = "top ids", "top scores"
GENUINE, IMPOSTOR = "best genuine", "best impostor"
_POINTS = b"samespace.operating_points"  # of the file: thresholds and curves by cell, as JSON
_OLDER = "it was made before certificates could be replayed: certify again"


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The numbers of every query, in one order.

    Attributes:
        asked: the queries: ids, labels and groups.
        units: the independent unit of each query. Shape: (n_queries,).
        n_relevant: relevant items of each query. Shape: (n_queries,).
        cells: by cell of the matrix and metric, a number a query.
        planted: likewise, of every control.
        top: by cell, the first items of each query, as positions among the items.
        scored: by cell, its scores and what thresholds do, if the policy asked for that.
    """

    asked: Labels
    units: LabelArray
    n_relevant: Int64Array
    cells: Mapping[str, ByMetric]
    planted: Mapping[str, ByMetric]
    top: Mapping[str, TopItems] = field(default_factory=dict)
    scored: Mapping[str, ScoredCell] = field(default_factory=dict)

    def rows(self) -> dict[str, Int64Array]:
        """Return the rows of all that is reported apart; ``all`` is every query."""
        return self.asked.reported


def write_evidence(evidence: Evidence, item_ids: LabelArray) -> tuple[bytes, str]:
    """Return the bytes of a Parquet file, one row a query, and their SHA-256.

    Columns are ``query``, ``label``, ``group`` (if there are groups), ``seen`` (whether its class
    was trained on, if that is known), ``unit``, ``relevant`` and

    - for every cell and metric a number, ``products@2 -> products@1 | mAP``;
    - for every cell the first items, ``products@2 -> products@1 | top ids`` and ``| top scores``;
    - where scores were asked for, ``| best genuine`` and ``| best impostor`` of every cell, and
      thresholds and curves as JSON in the file's own metadata;
    - for every control and metric a number, ``control: random model | mAP``.

    Equal numbers give equal bytes with one version of pyarrow, whose name the file holds.

    Args:
        evidence: the numbers.
        item_ids: ids of the items that were searched. Shape: (n_items,).
    """
    asked = evidence.asked
    columns = {"query": _texts(asked.ids), "label": _texts(asked.labels)}
    if asked.groups is not None:
        columns["group"] = _texts(asked.groups)
    if asked.seen is not None:
        columns["seen"] = pa.array(asked.seen)
    columns["unit"] = _names(evidence.units)
    columns["relevant"] = pa.array(evidence.n_relevant)
    for cell, by_metric in evidence.cells.items():
        columns |= _numbers(cell, by_metric)
        if cell in evidence.top:
            columns |= _top(cell, evidence.top[cell], item_ids)
        if cell in evidence.scored:
            columns |= _best(cell, evidence.scored[cell])
    for name, by_metric in evidence.planted.items():
        columns |= _numbers(CONTROL + name, by_metric)
    table = pa.table(columns)
    if evidence.scored:
        points = canonical_json({cell: one.to_json() for cell, one in evidence.scored.items()})
        table = table.replace_schema_metadata({_POINTS: points.encode("utf-8")})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def _texts(values: LabelArray) -> Any:
    return pa.array(values.astype(str).tolist(), pa.string())


def _names(values: LabelArray) -> Any:
    """Keep numbers as numbers: the order of names, which a bound's draws follow, is theirs."""
    return pa.array(values.astype(np.int64)) if values.dtype.kind in "iu" else _texts(values)


def _numbers(name: str, by_metric: ByMetric) -> dict[str, Any]:
    return {f"{name}{SEPARATOR}{metric}": pa.array(v) for metric, v in by_metric.items()}


def _top(cell: str, top: TopItems, item_ids: LabelArray) -> dict[str, Any]:
    """Return the first items as two columns of lists; where there are no more, a list ends."""
    found = top.positions >= 0
    offsets = pa.array(np.concatenate([[0], np.cumsum(found.sum(axis=1))]).astype(np.int32))
    ids = _names(item_ids[top.positions[found]])
    scores = pa.array(top.scores[found])
    return {
        f"{cell}{SEPARATOR}{TOP_IDS}": pa.ListArray.from_arrays(offsets, ids),
        f"{cell}{SEPARATOR}{TOP_SCORES}": pa.ListArray.from_arrays(offsets, scores),
    }


def _best(cell: str, scored: ScoredCell) -> dict[str, Any]:
    return {
        f"{cell}{SEPARATOR}{GENUINE}": pa.array(scored.genuine),
        f"{cell}{SEPARATOR}{IMPOSTOR}": pa.array(scored.impostor),
    }


def read_evidence(data: bytes, digest: str, name: str) -> Evidence:
    """Read what a replay needs of what `write_evidence` wrote: all but the first items.

    Args:
        data: the bytes; nothing of them is parsed before they are known to be the right ones.
        digest: SHA-256 of the file that the certificate rests on.
        name: what the file is called, for messages.

    Raises:
        DigestMismatchError: if the bytes are others.
        InvalidInputError: if it is not such a file, or an older one.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise DigestMismatchError(
            f"{name} is not the evidence that the certificate rests on: "
            f"expected sha256 {digest}, found sha256 {found}",
            hint="it was changed or damaged, or belongs to another certificate",
        )
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{name} is no Parquet file: {in_one_line(error)}") from error
    return _evidence(table, name)


def _evidence(table: Any, name: str) -> Evidence:
    columns: dict[str, LabelArray] = {
        column: table.column(column).to_numpy()
        for column in table.column_names
        if not column.endswith((SEPARATOR + TOP_IDS, SEPARATOR + TOP_SCORES))
    }
    scored = _scored(table, columns, name)
    missing = [c for c in ("query", "label", "unit", "relevant") if c not in columns]
    if missing or not len(table):
        lacks = f"the column {missing[0]!r}" if missing else "any row"
        raise InvalidInputError(f"{name} lacks {lacks}", hint=_OLDER)
    groups = columns.get("group")
    asked = Labels(
        columns["query"],
        columns["label"],
        None if groups is None else groups.astype(str),
        seen=_seen(columns.get("seen"), name),
    )
    best = (SEPARATOR + GENUINE, SEPARATOR + IMPOSTOR)
    measured = {c: v for c, v in columns.items() if SEPARATOR in c and not c.endswith(best)}
    odd = [column for column, values in measured.items() if values.dtype != np.float64]
    if odd:
        raise InvalidInputError(
            f"{name}: column {odd[0]!r} is {measured[odd[0]].dtype}, not float64"
        )
    return Evidence(
        asked,
        _plain(columns["unit"]),
        columns["relevant"],
        _by_name({c: v for c, v in measured.items() if not c.startswith(CONTROL)}),
        _by_name(
            {c.removeprefix(CONTROL): v for c, v in measured.items() if c.startswith(CONTROL)}
        ),
        scored=scored,
    )


def _scored(table: Any, columns: Mapping[str, LabelArray], name: str) -> dict[str, ScoredCell]:
    """Return the scores and operating points of every cell that has them."""
    text = (table.schema.metadata or {}).get(_POINTS)
    if text is None:
        return {}
    try:
        return {
            cell: ScoredCell.from_json(
                points,
                columns[f"{cell}{SEPARATOR}{GENUINE}"],
                columns[f"{cell}{SEPARATOR}{IMPOSTOR}"],
            )
            for cell, points in json.loads(text).items()
        }
    except (ValueError, AttributeError, KeyError) as error:
        raise InvalidInputError(f"{name}: {in_one_line(error)}", hint=_OLDER) from error


def _seen(values: LabelArray | None, name: str) -> BoolArray | None:
    if values is not None and values.dtype != np.bool_:
        raise InvalidInputError(f"{name}: column 'seen' is {values.dtype}, not bool")
    return values


def _plain(names: LabelArray) -> LabelArray:
    return names.astype(str) if names.dtype == object else names


def _by_name(columns: Mapping[str, Float64Array]) -> dict[str, ByMetric]:
    found: dict[str, dict[str, Float64Array]] = {}
    for column, values in columns.items():
        name, _, metric = column.rpartition(SEPARATOR)
        found.setdefault(name, {})[metric] = values
    return dict(found)
