"""Searching many segments as one gallery.

Each segment is searched by the contract between the queries' version and its own; the rankings
are merged by (score descending, id ascending). `prepare_queries` and `prepare_gallery` are the
two sides of a contract; serving and certification both use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Float32Array, Int64Array, LabelArray
from ..domain.contracts import Contract
from ..domain.galleries import Metric
from ..errors import DimensionMismatchError, InvalidInputError
from ..vectors import Hits, check_vectors
from .geometry import normalise, row_norms
from .segments import SegmentReader


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """A segment and how the queries are compared with it.

    Attributes:
        reader: the opened segment.
        contract: between the queries' version and the segment's.
        version_number: number of the version that made the segment's vectors, at least 1.
    """

    reader: SegmentReader
    contract: Contract
    version_number: int


def prepare_queries(vectors: Float32Array, contract: Contract, metric: Metric) -> Float32Array:
    """Return the query side of a contract: cut to its dimensions and, under cosine, normalised.

    Args:
        vectors: finite, contiguous float32. Shape: (n, dim) with dim >= contract.dims.
        contract: how queries are compared.
        metric: the gallery's metric.

    Returns:
        Contiguous float32; a view of the input if nothing is to be done. Shape: (n, contract.dims).

    Raises:
        InvalidInputError: if vectors are not such an array, or a query is all zero in the
            compared dimensions under cosine.
        DimensionMismatchError: if there are fewer dimensions than the contract compares.
    """
    cut = _cut(check_vectors(vectors), contract)
    if metric is not Metric.COSINE:
        return np.ascontiguousarray(cut)
    norms = row_norms(cut)
    if not norms.all():
        rows = np.flatnonzero(norms == 0)
        raise InvalidInputError(
            f"{rows.size} of {len(cut)} queries are all zero in the first {contract.dims} "
            f"dimensions, first in row {rows[0]}",
            hint="the cosine of a zero vector is undefined: drop those queries",
        )
    prepared: Float32Array = np.divide(cut, norms[:, None], order="C")
    return prepared


def prepare_gallery(block: Float32Array, contract: Contract, metric: Metric) -> Float32Array:
    """Return the gallery side of a contract: cut to its dimensions and, under cosine, normalised.

    A row that is all zero in the compared dimensions stays so, and its score is 0.

    Args:
        block: float32 rows, which may be a mapped block. Shape: (n, dim).
        contract: how queries are compared.
        metric: the gallery's metric.

    Returns:
        Contiguous float32; a view of the input if nothing is to be done. Shape: (n, contract.dims).

    Raises:
        DimensionMismatchError: if there are fewer dimensions than the contract compares.
    """
    cut = _cut(block, contract)
    return normalise(cut) if metric is Metric.COSINE else np.ascontiguousarray(cut)


def _cut(vectors: Float32Array, contract: Contract) -> Float32Array:
    if vectors.shape[1] < contract.dims:
        raise DimensionMismatchError(
            f"vectors have {vectors.shape[1]} dimensions, but the contract compares the first "
            f"{contract.dims}",
            hint="embed them with the version that the contract is for",
        )
    return vectors[:, : contract.dims]


def search_segments(
    targets: Sequence[SearchTarget], queries: Float32Array, k: int, metric: Metric
) -> Hits:
    """Return each query's k nearest live items of all segments.

    Equal scores are ordered by id. Which of several equal items are among the k at all is the
    segment's index's choice; an exact one takes those that were added first.

    Args:
        targets: the segments, with a contract each.
        queries: finite, contiguous float32 of one version, not normalised. Shape: (n, dim).
        k: how many, from 1 to the number of live items.
        metric: the gallery's metric.

    Raises:
        InvalidInputError: if k is out of range, the gallery is empty, or a query is refused.
        DimensionMismatchError: if a contract compares more dimensions than queries have.
    """
    check_k(k, targets)
    return merge([hits for _, hits in search_each(targets, queries, k, metric)], k)


def check_k(k: int, targets: Sequence[SearchTarget]) -> None:
    """Refuse to look for fewer than one item, or for more than can be found.

    Raises:
        InvalidInputError: if k is out of range, or there is nothing to find.
    """
    n_items = sum(target.reader.n_items for target in targets)
    if k < 1:
        raise InvalidInputError(f"k must be at least 1 but is {k}", hint="ask for 1 hit or more")
    if n_items == 0:
        raise InvalidInputError("the gallery holds no items to search", hint="add items first")
    if k > n_items:
        raise InvalidInputError(
            f"k is {k} but only {n_items} items can be found", hint=f"ask for at most {n_items}"
        )


def search_each(
    targets: Sequence[SearchTarget], queries: Float32Array, k: int, metric: Metric
) -> list[tuple[SearchTarget, Hits]]:
    """Return what each segment with live items offers: its k nearest ones, or all if it has fewer.

    Arguments and errors are those of `search_segments`.
    """
    prepared: dict[int, Float32Array] = {}
    found = []
    for target in targets:
        if target.reader.n_items == 0:
            continue
        dims = target.contract.dims
        if dims not in prepared:
            prepared[dims] = prepare_queries(queries, target.contract, metric)
        found.append((target, _search_target(target, prepared[dims], k)))
    return found


def _search_target(target: SearchTarget, queries: Float32Array, k: int) -> Hits:
    reader = target.reader
    found = reader.search(queries, min(k, reader.n_items), target.contract)
    versions = np.full(found.positions.shape, target.version_number, np.int64)
    if (found.positions[:, -1:] < 0).any():
        versions[found.positions < 0] = 0
    return Hits(reader.take_ids(found.positions), found.scores, versions)


def merge(found: Sequence[Hits], k: int) -> Hits:
    """Return the k best of one or more segments' rankings of the same queries."""
    if len(found) == 1:
        return _order(found[0])
    hits = Hits(
        np.concatenate([hits.ids for hits in found], axis=1),
        np.concatenate([hits.scores for hits in found], axis=1),
        np.concatenate([hits.versions for hits in found], axis=1),
    )
    order = np.argsort(-hits.scores, axis=1, kind="stable")
    ordered = _order(_reordered(hits, order))
    return Hits(ordered.ids[:, :k], ordered.scores[:, :k], ordered.versions[:, :k])


def _order(hits: Hits) -> Hits:
    """Return hits that are sorted by score with equal scores sorted by id."""
    scores = hits.scores
    ties = (scores[:, 1:] == scores[:, :-1]) & (scores[:, 1:] > -np.inf)
    if not ties.any():
        return hits
    order = np.tile(np.arange(scores.shape[1]), (len(scores), 1))
    for row in np.flatnonzero(ties.any(axis=1)):
        order[row] = _order_row(hits.ids[row], scores[row])
    return _reordered(hits, order)


def _order_row(ids: LabelArray, scores: Float32Array) -> list[int]:
    """Return one row's places by (score descending, id ascending), missing ones at the end."""
    pairs = list(zip((-scores).tolist(), ids.tolist(), strict=True))
    n_found = int(np.count_nonzero(scores > -np.inf))
    order = sorted(range(n_found), key=pairs.__getitem__)
    return [*order, *range(n_found, len(pairs))]


def _reordered(hits: Hits, order: Int64Array) -> Hits:
    return Hits(
        np.take_along_axis(hits.ids, order, axis=1),
        np.take_along_axis(hits.scores, order, axis=1),
        np.take_along_axis(hits.versions, order, axis=1),
    )
