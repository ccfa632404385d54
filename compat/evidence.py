"""Evidence: the per-query numbers that a certificate rests on, as one Parquet file."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from .evaluation.ranking import RankingScores
from .probes import Labels


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
            columns[f"{cell} | {metric}"] = pa.array(scores.metric(metric))
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    data = buffer.getvalue()
    return data, hashlib.sha256(data).hexdigest()
