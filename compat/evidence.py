"""Evidence: the per-query numbers that a certificate rests on, as one Parquet file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from registry.arrays import Float64Array, Int64Array
from registry.errors import CorruptFileError, DigestMismatchError

from .evaluation.ranking import RankingScores
from .probes import ALL, Labels

_SEPARATOR = " | "


@dataclass(frozen=True, slots=True, eq=False)
class EvidenceTable:
    """What an evidence file says, query by query.

    Attributes:
        queries: the queries' ids.
        labels: the class or identity of each.
        groups: the slice of each, or None if there are none.
        cells: per-query numbers by cell and metric. Shape of each: (n_queries,)
    """

    queries: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...] | None
    cells: Mapping[str, Mapping[str, Float64Array]]

    def rows(self) -> dict[str, Int64Array]:
        """Return the rows of each group; ``all`` is every query."""
        found = {ALL: np.arange(len(self.queries))}
        names = np.array(self.groups or (), dtype=object)
        return found | {str(name): np.flatnonzero(names == name) for name in sorted(set(names))}


def write_evidence(queries: Labels, cells: Mapping[str, RankingScores]) -> tuple[bytes, str]:
    """Return the bytes of a Parquet file, one row a query, and their SHA-256.

    Columns are ``query``, ``label``, ``group`` and, for every cell and metric, a number named
    ``products@2 -> products@1 | mAP``.
    """
    columns: dict[str, object] = {
        "query": pa.array([str(value) for value in queries.ids.tolist()]),
        "label": pa.array([str(value) for value in queries.labels.tolist()]),
    }
    if queries.groups is not None:
        columns["group"] = pa.array([str(value) for value in queries.groups.tolist()])
    for cell, scores in cells.items():
        for metric in scores.names:
            columns[f"{cell}{_SEPARATOR}{metric}"] = pa.array(scores.metric(metric))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()


def read_evidence(data: bytes, digest: str) -> EvidenceTable:
    """Read what `write_evidence` wrote, once its bytes are known to be the recorded ones.

    Args:
        data: the file's bytes.
        digest: SHA-256 that they must have, in hexadecimal.

    Raises:
        DigestMismatchError: if they are other bytes; nothing is parsed.
        CorruptFileError: if they are not evidence.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise DigestMismatchError(
            f"the evidence is not what was recorded: expected sha256 {digest}, found {found}",
            hint="restore it from a backup, or certify again",
        )
    try:
        table = pq.read_table(pa.BufferReader(data))
        has_groups = "group" in table.column_names
        return EvidenceTable(
            tuple(table.column("query").to_pylist()),
            tuple(table.column("label").to_pylist()),
            tuple(table.column("group").to_pylist()) if has_groups else None,
            _cells(table),
        )
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise CorruptFileError(f"the evidence cannot be read: {error}") from error


def _cells(table: pa.Table) -> dict[str, dict[str, Float64Array]]:
    cells: dict[str, dict[str, Float64Array]] = {}
    for name in table.column_names:
        cell, separator, metric = name.rpartition(_SEPARATOR)
        column = table.column(name)
        if separator and pa.types.is_floating(column.type):
            cells.setdefault(cell, {})[metric] = column.to_numpy().astype(np.float64)
    return cells
