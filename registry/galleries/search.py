"""Searching many segments as one gallery.

Each segment is searched by the contract between the queries' version and its own; their scores are
brought onto the gallery's scale, and the rankings merged by (score descending, id ascending). One
after another: a batch keeps FAISS's own threads busy, and for one query handing small segments to
threads costs more than it gains (`benchmarks/segments.py`).

`prepare_queries` and `prepare_gallery` are the two sides of a contract; serving and certification
both use them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import Float32Array
from ..domain.calibration import AS_IT_IS, ScoreMap
from ..domain.contracts import Contract
from ..domain.galleries import Metric
from ..errors import DimensionMismatchError, InvalidInputError
from ..vectors import Hits, check_vectors
from .geometry import normalise, row_norms
from .merging import keep_from, merge
from .segments import SegmentReader


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """A segment and how the queries are compared with it.

    Attributes:
        reader: the opened segment.
        contract: between the queries' version and the segment's.
        version_number: number of the version that made the segment's vectors, at least 1.
        to_scale: brings this pair's scores onto the gallery's scale.
    """

    reader: SegmentReader
    contract: Contract
    version_number: int
    to_scale: ScoreMap = AS_IT_IS


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
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    k: int,
    metric: Metric,
    *,
    min_score: float | None = None,
    own: Mapping[int, Float32Array] | None = None,
) -> Hits:
    """Return each query's k nearest live items of all segments.

    Equal scores are ordered by id. Which of several equal items are among the k at all is the
    segment's index's choice; an exact one takes those that were added first.

    Args:
        targets: the segments, with a contract each.
        queries: finite, contiguous float32 of one version, not normalised. Shape: (n, dim).
        k: how many, from 1 to the number of live items.
        metric: the gallery's metric.
        min_score: what scores less, on the gallery's scale, is no hit; None for no such bound.
        own: the same queries as other versions embedded them, by version number, for segments
            that are searched by their own encoder. Shape of each: (n, dim of that version).

    Raises:
        InvalidInputError: if k is out of range, the least score is no number, the gallery is
            empty, or a query is refused.
        DimensionMismatchError: if a contract compares more dimensions than queries have.
    """
    check_k(k, targets)
    check_min_score(min_score)
    found = search_each(targets, queries, k, metric, own=own)
    maps = [target.to_scale for target, _ in found]
    hits = merge([hits for _, hits in found], maps, k)
    return hits if min_score is None else keep_from(hits, min_score)


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


def check_min_score(min_score: float | None) -> None:
    """Refuse a least score that is no number.

    Raises:
        InvalidInputError: if it is NaN.
    """
    if min_score is not None and math.isnan(min_score):
        raise InvalidInputError("min_score must be a number but is NaN")


def search_each(
    targets: Sequence[SearchTarget],
    queries: Float32Array,
    k: int,
    metric: Metric,
    *,
    own: Mapping[int, Float32Array] | None = None,
) -> list[tuple[SearchTarget, Hits]]:
    """Return what each segment with live items offers: its k nearest ones, or all if it has fewer.

    Scores are those of each segment's own pair of versions. Arguments and errors are those of
    `search_segments`.
    """
    prepared: dict[tuple[int, int], Float32Array] = {}
    found = []
    for target in targets:
        if target.reader.n_items == 0:
            continue
        number = target.version_number if target.contract.has_own_encoder else 0
        side = (number, target.contract.dims)
        if side not in prepared:
            asked = asked_of(target, queries, own)
            prepared[side] = prepare_queries(asked, target.contract, metric)
        found.append((target, _search_target(target, prepared[side], k)))
    return found


def asked_of(
    target: SearchTarget, queries: Float32Array, own: Mapping[int, Float32Array] | None
) -> Float32Array:
    """Return the queries that search a segment: its own version's, if its contract says so."""
    if not target.contract.has_own_encoder:
        return queries
    return (own or {})[target.version_number]


def _search_target(target: SearchTarget, queries: Float32Array, k: int) -> Hits:
    reader = target.reader
    found = reader.search(queries, min(k, reader.n_items), target.contract)
    versions = np.full(found.positions.shape, target.version_number, np.int64)
    if (found.positions[:, -1:] < 0).any():
        versions[found.positions < 0] = 0
    return Hits(reader.take_ids(found.positions), found.scores, versions)
