"""Scores of vectors that are at hand, by a comparison contract: what search would give them."""

from __future__ import annotations

import numpy as np

from ..arrays import Float32Array
from ..domain.contracts import Contract
from ..domain.galleries import Metric
from .geometry import squared_norms
from .search import prepare_gallery, prepare_queries

_QUERIES_AT_ONCE = 1024


def score_all(
    queries: Float32Array, vectors: Float32Array, contract: Contract, metric: Metric
) -> Float32Array:
    """Return the score of every query and every vector. Shape: (n, dim_a), (m, dim_b) -> (n, m).

    Args:
        queries: finite float32, not normalised; none is without direction under cosine.
        vectors: finite float32, not normalised; one without direction scores 0 under cosine.
        contract: how they are compared.
        metric: the similarity.
    """
    asked = prepare_queries(queries, contract, metric)
    held = prepare_gallery(vectors, contract, metric)
    if metric is not Metric.L2:
        return asked @ held.T
    scores = np.empty((len(asked), len(held)), np.float32)
    wide, terms = held.astype(np.float64), squared_norms(held)
    for start in range(0, len(asked), _QUERIES_AT_ONCE):
        part = asked[start : start + _QUERIES_AT_ONCE]
        # in float64, for the difference of three large numbers may be next to nothing
        distances = squared_norms(part)[:, None] - 2 * (part @ wide.T) + terms
        scores[start : start + len(part)] = -np.maximum(distances, 0)
    return scores


def score_rows(
    queries: Float32Array, vectors: Float32Array, contract: Contract, metric: Metric
) -> Float32Array:
    """Return the score of each query and the vector in the same row. Shape: two (n, ...) -> (n,).

    The arguments are those of `score_all`.
    """
    asked = prepare_queries(queries, contract, metric)
    held = prepare_gallery(vectors, contract, metric)
    if metric is Metric.L2:
        differences = asked.astype(np.float64) - held
        products = -np.einsum("ij,ij->i", differences, differences)
    else:
        products = np.einsum("ij,ij->i", asked, held, dtype=np.float64)
    scores: Float32Array = products.astype(np.float32)
    return scores
