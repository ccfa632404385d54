"""What all evaluations ask of their arguments."""

from __future__ import annotations

import numpy as np

from registry.arrays import Float32Array, Int64Array

from ._relevance import Relevance


def check_metric(metric: str) -> bool:
    """Return whether a metric is the squared distance; refuse what is neither it nor the other."""
    if metric not in ("inner_product", "l2"):
        raise ValueError(f"metric must be 'inner_product' or 'l2' but got {metric!r}")
    return metric == "l2"


def check_queries(queries: Float32Array, relevance: Relevance) -> None:
    """Refuse queries that are not one float32 row for each query of the relevance."""
    if queries.ndim != 2 or queries.dtype != np.float32 or len(queries) != relevance.n_queries:
        raise ValueError(
            f"queries must be float32 of shape ({relevance.n_queries}, dim), one row for each "
            f"query of the relevance, but got {queries.dtype} of shape {queries.shape}"
        )


def checked_excluded(excluded: Int64Array | None, relevance: Relevance) -> Int64Array:
    """Return the gallery position that does not exist for each query, or -1."""
    if excluded is None:
        return np.full(relevance.n_queries, -1, dtype=np.int64)
    if excluded.shape != (relevance.n_queries,) or excluded.dtype.kind != "i":
        raise ValueError(
            f"excluded must be integers of shape ({relevance.n_queries},) "
            f"but got {excluded.dtype} of shape {excluded.shape}"
        )
    if np.any((excluded < -1) | (excluded >= relevance.n_gallery)):
        raise ValueError(
            f"excluded must be gallery positions below {relevance.n_gallery}, or -1, "
            f"but lie in [{excluded.min()}, {excluded.max()}]"
        )
    return excluded.astype(np.int64)
