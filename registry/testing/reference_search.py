"""Search written naively, in float64, and the data that back ends are tried on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..arrays import BoolArray, Float32Array, Float64Array, Int64Array
from ..domain.galleries import Metric
from ..galleries.protocol import Neighbours

DIM = 32


@dataclass(frozen=True, slots=True)
class Trial:
    """Vectors to index and queries to ask, all read-only.

    Attributes:
        vectors: Shape: (n, 32).
        queries: normalised under cosine, as an index expects them. Shape: (n_queries, 32).
        metric: the similarity.
    """

    vectors: Float32Array
    queries: Float32Array
    metric: Metric


def make_trial(metric: Metric, n_vectors: int = 2000, n_queries: int = 40) -> Trial:
    """Return clustered vectors of varied lengths and queries near some of them."""
    rng = np.random.default_rng(20260503)
    centres = rng.standard_normal((30, DIM))
    lengths = rng.uniform(0.5, 2.0, (n_vectors, 1))
    noise = 0.4 * rng.standard_normal((n_vectors, DIM))
    vectors = (lengths * (centres[rng.integers(30, size=n_vectors)] + noise)).astype(np.float32)
    queries = centres[rng.integers(30, size=n_queries)] + 0.4 * rng.standard_normal(
        (n_queries, DIM)
    )
    return frozen(vectors, queries.astype(np.float32), metric)


def planted_trial(metric: Metric) -> tuple[Trial, int]:
    """Return a trial of one query where each metric has another nearest row, and that row."""
    trial = make_trial(metric)
    along, aside = np.linalg.qr(np.random.default_rng(1).standard_normal((DIM, 2)))[0].T
    vectors = trial.vectors.copy()
    vectors[100] = 2.5 * along  # the query's direction, but another length
    vectors[200] = 15 * along + 15 * aside  # far longer, in another direction
    vectors[300] = 5 * along + 0.5 * aside  # the closest, in nearly the same direction
    row = {Metric.COSINE: 100, Metric.INNER_PRODUCT: 200, Metric.L2: 300}[metric]
    return frozen(vectors, 5 * along[None].astype(np.float32), metric), row


def frozen(vectors: Float32Array, queries: Float32Array, metric: Metric) -> Trial:
    """Return a trial whose arrays cannot be written to."""
    if metric is Metric.COSINE:
        queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    trial = Trial(vectors.copy(), np.ascontiguousarray(queries, np.float32), metric)
    trial.vectors.flags.writeable = False
    trial.queries.flags.writeable = False
    return trial


def reference_scores(trial: Trial) -> Float64Array:
    """Return the similarity of every query and every vector. Shape: (n_queries, n)."""
    queries, vectors = trial.queries.astype(np.float64), trial.vectors.astype(np.float64)
    if trial.metric is Metric.L2:
        differences = queries[:, None, :] - vectors[None, :, :]
        distances: Float64Array = np.square(differences).sum(axis=2)
        return -distances
    if trial.metric is Metric.COSINE:
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    products: Float64Array = queries @ vectors.T
    return products


def is_among_best(found: Neighbours, scores: Float64Array, allowed: BoolArray) -> BoolArray:
    """Return which found rows score as well as the k-th best allowed one. Shape: (n, k).

    Up to rounding, any of several equal rows will do, so exact indexes may differ in ties.
    """
    k = found.positions.shape[1]
    kth = np.sort(scores[:, allowed], axis=1)[:, -k][:, None]
    slack = 1e-5 * np.maximum(1, np.abs(scores).max())
    reached: BoolArray = _scores_at(scores, found.positions) >= kth - slack
    return reached & (found.positions >= 0)


def _scores_at(scores: Float64Array, positions: Int64Array) -> Float64Array:
    taken: Float64Array = np.take_along_axis(scores, np.maximum(positions, 0), axis=1)
    return taken


def score_error(found: Neighbours, scores: Float64Array) -> float:
    """Return the largest error of a found score, relative to the largest score there is."""
    errors = np.abs(found.scores - _scores_at(scores, found.positions))[found.positions >= 0]
    return float(errors.max(initial=0) / np.abs(scores).max())
