"""The vectors that a gallery holds of given items: as they are, or as queries compare them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from ..arrays import Float32Array, Int64Array, LabelArray
from ..arrow_columns import id_column, vector_column
from ..db import versions
from ..db.session import Connection, read
from ..domain.contracts import Contract, ContractKind
from ..domain.galleries import Metric
from ..domain.refs import VersionRef
from ..domain.versions import ModelVersion
from ..errors import (
    InvalidInputError,
    NotCertifiedError,
    NotFoundError,
    SpaceMismatchError,
    UndeclaredComparisonError,
)
from ..galleries.pair_scores import score_all
from ..galleries.search import prepare_gallery
from ..galleries.segments import SegmentReader
from ..vectors import Embeddings, check_ids, id_type
from .comparing import find_verified
from .context import Context, resolve
from .views import GalleryState, Views, check_served, read_state


@dataclass(frozen=True, slots=True)
class ComparedVectors:
    """Stored vectors as queries of one version compare them.

    Each row is cut to the dimensions that are compared and, under cosine, normalised again. Rows
    of two versions may be compared in different numbers of dimensions: beyond its own a row holds
    NaN, so that a product over all of them is NaN and never a wrong score. `scores` compares each
    row in its own.

    Attributes:
        ids: the items, in the order in which they were asked for. Shape: (n,).
        vectors: Shape: (n, the largest of `dims`).
        dims: how many leading dimensions of each row are compared. Shape: (n,).
        versions: number of the version that made each row. Shape: (n,).
        query_version: the version whose queries they are prepared for.
        metric: the gallery's metric.
    """

    ids: LabelArray
    vectors: Float32Array
    dims: Int64Array
    versions: Int64Array
    query_version: ModelVersion
    metric: Metric

    def scores(self, queries: Embeddings) -> Float32Array:
        """Return the score that search gives each query and each row. Shape: (n_queries, n).

        Raises:
            SpaceMismatchError: if the queries are of another version.
            InvalidInputError: if a query has no direction.
        """
        if queries.version.fingerprint != self.query_version.fingerprint:
            raise SpaceMismatchError(
                f"the vectors are prepared for queries of {self.query_version.ref}, "
                f"not of {queries.version.ref}"
            )
        scores = np.empty((len(queries), len(self.ids)), np.float32)
        for dims in np.unique(self.dims).tolist():
            rows = np.flatnonzero(self.dims == dims)
            cut = np.ascontiguousarray(self.vectors[rows, :dims])
            contract = Contract(ContractKind.PREFIX, dims)
            scores[:, rows] = score_all(queries.vectors, cut, contract, self.metric)
        return scores

    def to_arrow(self) -> pa.Table:
        """Return a table with the columns id, vector, dims and version; vectors are not copied."""
        columns = {"id": id_column(self.ids), "vector": vector_column(self.vectors)}
        return pa.table({**columns, "dims": self.dims, "version": self.versions})


@dataclass(frozen=True, slots=True)
class _Found:
    """Stored items of one version, and which rows of the request they are."""

    rows: Int64Array
    embeddings: Embeddings


def stored_vectors(
    context: Context, views: Views, gallery: str, ids: LabelArray
) -> tuple[Embeddings, ...]:
    """Return the stored vectors of items, for each version; see `Galleries.vectors`."""
    with read(context.engine) as connection:
        state = read_state(connection, gallery)
        check_served(context, connection, state)
        return tuple(found.embeddings for found in _find(connection, views, state, ids))


def compared_vectors(
    context: Context,
    views: Views,
    gallery: str,
    ids: LabelArray,
    as_of: str | VersionRef,
    *,
    require_certified: bool,
) -> ComparedVectors:
    """Return stored vectors as queries of a version compare them; see `Galleries.vectors`."""
    with read(context.engine) as connection:
        state = read_state(connection, gallery)
        check_served(context, connection, state)
        query = resolve(connection, as_of, context.trust)
        if query.ref.model != state.gallery.model:
            raise SpaceMismatchError(
                f"gallery {gallery!r} is embedded by {state.gallery.model!r}, "
                f"not by {query.ref.model!r}"
            )
        found = _find(connection, views, state, ids)
        contracts = [
            _contract(context, connection, state, query, one.embeddings.version, require_certified)
            for one in found
        ]
    return _prepared(found, contracts, query, state.gallery.metric)


def _prepared(
    found: Sequence[_Found], contracts: Sequence[Contract], query: ModelVersion, metric: Metric
) -> ComparedVectors:
    n, width = sum(len(one.rows) for one in found), max(contract.dims for contract in contracts)
    ids = np.empty(n, found[0].embeddings.ids.dtype)
    vectors = np.full((n, width), np.nan, np.float32)
    dims, made_by = np.empty(n, np.int64), np.empty(n, np.int64)
    for one, contract in zip(found, contracts, strict=True):
        ids[one.rows] = one.embeddings.ids
        prepared = prepare_gallery(one.embeddings.vectors, contract, metric)
        vectors[one.rows, : contract.dims] = prepared
        dims[one.rows] = contract.dims
        made_by[one.rows] = one.embeddings.version.ref.number
    return ComparedVectors(ids, vectors, dims, made_by, query, metric)


def _contract(
    context: Context,
    connection: Connection,
    state: GalleryState,
    query: ModelVersion,
    held: ModelVersion,
    require_certified: bool,
) -> Contract:
    """Return how a pair is compared, if it is served so, or is certified."""
    gallery = state.gallery.name
    contract = versions.get_contract(connection, query, held)
    if contract is None:
        raise UndeclaredComparisonError(
            f"nobody declared how {query.ref} is compared with the vectors of {held.ref} "
            f"in {gallery!r}",
            hint=f"samespace model declare {query.ref} {held.ref} --dims N, then certify",
        )
    if contract.has_own_encoder:
        raise SpaceMismatchError(
            f"{query.ref} does not compare the vectors of {held.ref} in {gallery!r}: queries of "
            f"{held.ref} itself search them",
            hint=f"take them as they are, or as_of={str(held.ref)!r} those of that version alone",
        )
    if require_certified and not _is_served(state, query.ref, held.ref):
        pair = (query.ref, held.ref)
        certificate, problem = find_verified(context, connection, state, *pair)
        if certificate is None:
            raise NotCertifiedError(
                f"no live COMPATIBLE certificate lets {query.ref} be compared with the vectors of "
                f"{held.ref} in {gallery!r}: {problem}",
                hint=f"samespace certify {gallery} {query.ref} …; or take them as unproven: "
                "require_certified=False",
            )
    return contract


def _is_served(state: GalleryState, query: VersionRef, held: VersionRef) -> bool:
    """Whether one version's queries find the other's vectors in this gallery as it is."""
    serving = state.serving
    is_basis = query.number == serving.query_version and held.number in serving.basis
    return query == held or (is_basis and held.number not in serving.excluded)


def _find(
    connection: Connection, views: Views, state: GalleryState, ids: LabelArray
) -> list[_Found]:
    """Return where items are, oldest version first; within one, in the order asked for."""
    wanted = _check_wanted(state, ids)
    place = {item: row for row, item in enumerate(wanted.tolist())}
    parts: dict[VersionRef, list[tuple[SegmentReader, Int64Array, Int64Array]]] = {}
    for segment in state.gallery.segments:
        if segment.n_items == 0:
            continue
        member = state.versions[segment.version.number]
        reader = views.reader(state.gallery.name, segment, member, connection)
        positions = reader.positions_of(wanted)
        if len(positions):
            names = reader.take_ids(positions).tolist()
            rows = np.array([place.pop(name) for name in names], np.int64)
            parts.setdefault(segment.version, []).append((reader, positions, rows))
    if place:
        raise NotFoundError(
            f"{len(place)} of {len(ids)} ids are not in gallery {state.gallery.name!r}, "
            f"for example {min(place, key=str)!r}",
            hint="were they deleted? leave those out",
        )
    return [_taken(parts[ref], wanted, state.versions[ref.number]) for ref in sorted(parts)]


def _check_wanted(state: GalleryState, ids: LabelArray) -> LabelArray:
    wanted, gallery = check_ids(ids, len(ids)), state.gallery
    if len(wanted) == 0:
        raise InvalidInputError("there are no ids to look up")
    if gallery.id_type not in {None, id_type(wanted)}:
        raise InvalidInputError(
            f"gallery {gallery.name!r} names items by {gallery.id_type} "
            f"but got {id_type(wanted)} ids"
        )
    return wanted


def _taken(
    parts: Sequence[tuple[SegmentReader, Int64Array, Int64Array]],
    ids: LabelArray,
    version: ModelVersion,
) -> _Found:
    """Copy rows out of segments of one version, into the order of the request."""
    ordered = np.sort(np.concatenate([rows for _, _, rows in parts]))
    vectors = np.empty((len(ordered), version.dim), np.float32)
    for reader, positions, rows in parts:
        into = np.searchsorted(ordered, rows)
        for first, block in reader.blocks():
            low, high = np.searchsorted(positions, (first, first + len(block)))
            vectors[into[low:high]] = block[positions[low:high] - first]
    return _Found(ordered, Embeddings(ids[ordered], vectors, version))
