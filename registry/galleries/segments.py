"""Reading one segment: its vectors, its ids, what of it is deleted, and searching it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..arrays import BoolArray, Float32Array, Int64Array, LabelArray
from ..arrow_columns import id_column
from ..domain.contracts import Contract
from ..domain.galleries import IndexSpec, Metric, Part, Segment
from ..errors import CorruptFileError, DimensionMismatchError, InvalidInputError
from ._exact import ExactIndex
from .catalog import load_backend
from .protocol import Neighbours, VectorIndex
from .storage import PartData, open_part, verify_file

# An approximate index that must skip most of its rows loses recall; then all rows are scored.
_MOSTLY_DELETED = 0.5


class SegmentReader:
    """One segment, opened: exactly the files that its row names, and nothing else.

    It never changes. Several threads may search it; what is computed when it is first needed
    (the rows' norms, the table of ids) is kept.

    Args:
        segment: what the database says of it.
        parts: its parts, in order, mapped.
        index: its opened index, or None to score all rows.
        dim: number of dimensions of its vectors.
        metric: the gallery's metric.
        deleted: distinct positions of deleted rows, ascending.
    """

    def __init__(
        self,
        segment: Segment,
        parts: Sequence[PartData],
        index: VectorIndex | None,
        *,
        dim: int,
        metric: Metric,
        deleted: Int64Array,
    ) -> None:
        self.segment = segment
        self.dim = dim
        self.metric = metric
        self.n_rows = sum(len(part) for part in parts)
        self.n_items = self.n_rows - len(deleted)
        self._parts = tuple(parts)
        self._index = index
        self._deleted = deleted
        self._excluded = deleted if len(deleted) else None
        self._exact: dict[int, ExactIndex] = {}
        self._lock = Lock()

    @classmethod
    def open(
        cls,
        segment: Segment,
        *,
        root: Path,
        dim: int,
        metric: Metric,
        spec: IndexSpec,
        deleted: Int64Array,
    ) -> SegmentReader:
        """Check the digests of a segment's files, then map them.

        Args:
            segment: what the database says of it.
            root: the storage's folder.
            dim: dimension of the version that embedded it.
            metric: the gallery's metric.
            spec: how its index was built and is searched.
            deleted: positions of deleted rows, in any order.

        Raises:
            DigestMismatchError: if a file's bytes are not those that were recorded.
            CorruptFileError: if a file is missing or is not what its row says.
            StorageError: if a file cannot be read.
            InvalidInputError: if `deleted` names rows that do not exist.
        """
        nothing = replace(segment, parts=(), index=None)
        empty = cls(nothing, (), None, dim=dim, metric=metric, deleted=np.empty(0, np.int64))
        return empty.reopen(segment, root=root, spec=spec, deleted=deleted)

    def reopen(
        self, segment: Segment, *, root: Path, spec: IndexSpec, deleted: Int64Array
    ) -> SegmentReader:
        """Return a reader of this segment as it is now; files that are open are not read again.

        The arguments and errors are those of `open`.
        """
        held = {part.file: data for part, data in zip(self.segment.parts, self._parts, strict=True)}
        parts = [held.get(part.file) or self._open_part(root, part) for part in segment.parts]
        index = self._index
        if index is None or segment.index != self.segment.index:
            index = self._open_index(root, segment, spec)
        gone = _check_deleted(deleted, segment.n_rows)
        return SegmentReader(segment, parts, index, dim=self.dim, metric=self.metric, deleted=gone)

    def _open_part(self, root: Path, part: Part) -> PartData:
        data = open_part(root, part.file)
        if len(data) != part.n_items or data.dim != self.dim:
            raise CorruptFileError(
                f"{part.file.path} holds {len(data)} vectors of {data.dim} dimensions, "
                f"but {part.n_items} of {self.dim} are recorded"
            )
        return data

    def _open_index(self, root: Path, segment: Segment, spec: IndexSpec) -> VectorIndex | None:
        if segment.index is None:
            return None
        path = verify_file(root, segment.index)
        backend = load_backend(spec.backend)
        index = backend.open(path, dim=self.dim, metric=self.metric, spec=spec)
        if len(index) != segment.n_rows:
            raise CorruptFileError(
                f"{segment.index.path} indexes {len(index)} rows, "
                f"but the segment has {segment.n_rows}"
            )
        return index

    def search(self, queries: Float32Array, k: int, contract: Contract) -> Neighbours:
        """Find the k nearest live rows of each query.

        Vectors of the contract's whole dimension are found by the segment's index if it is
        sealed. Queries of fewer dimensions are compared with the first dimensions of all rows,
        exactly and without a copy.

        Args:
            queries: as `prepare_queries` returns them. Shape: (n, contract.dims).
            k: how many, at least 1.
            contract: how the queries are compared with this segment's vectors.

        Raises:
            DimensionMismatchError: if the contract compares more dimensions than there are.
        """
        if contract.dims > self.dim:
            raise DimensionMismatchError(
                f"a contract compares {contract.dims} dimensions, but the vectors of "
                f"{self.segment.version} have {self.dim}"
            )
        index = self._searcher(contract.dims)
        return index.search(queries, k, excluded=self._excluded)

    def uses_index(self, dims: int) -> bool:
        """Whether queries of so many dimensions go by the segment's index, not past all rows."""
        is_sparse = len(self._deleted) > _MOSTLY_DELETED * self.n_rows
        return self._index is not None and dims == self.dim and not is_sparse

    def _searcher(self, dims: int) -> VectorIndex:
        if self._index is not None and self.uses_index(dims):
            return self._index
        exact = self._exact.get(dims)
        if exact is None:
            with self._lock:
                exact = self._exact.get(dims)
                if exact is None:
                    blocks = [block for _, block in self.blocks()]
                    exact = ExactIndex(blocks, metric=self.metric, dim=dims)
                    self._exact[dims] = exact
        return exact

    def blocks(self) -> Iterator[tuple[int, Float32Array]]:
        """Yield all vectors, deleted ones included, in mapped blocks with their first position."""
        first = 0
        for part in self._parts:
            for block in part.blocks:
                yield first, block
                first += len(block)

    @cached_property
    def live(self) -> BoolArray:
        """Which rows are not deleted; read-only. Shape: (n_rows,)."""
        mask = np.ones(self.n_rows, np.bool_)
        mask[self._deleted] = False
        mask.flags.writeable = False
        return mask

    def live_positions(self) -> Int64Array:
        """Return the positions of all rows that are not deleted, ascending."""
        return np.flatnonzero(self.live)

    def take_ids(self, positions: Int64Array) -> LabelArray:
        """Return the ids at positions of any shape: int64, or an object array of str.

        Position -1 gives id -1 or None.
        """
        flat = positions.reshape(-1)
        if self._int_ids is not None:
            ids = self._int_ids[flat]
            ids[flat < 0] = -1
            return ids.reshape(positions.shape)
        places = pa.array(flat, mask=flat < 0)
        names: LabelArray = self._ids.take(places).to_numpy(zero_copy_only=False)
        return names.reshape(positions.shape)

    def positions_of(self, ids: LabelArray) -> Int64Array:
        """Return the positions of live rows with one of these ids, ascending.

        Ids that are not here, or of the other type than this segment's, are passed over.
        """
        is_int = np.issubdtype(ids.dtype, np.integer)
        if not len(ids) or not self.n_rows or is_int != pa.types.is_integer(self._ids.type):
            return np.empty(0, np.int64)
        wanted = id_column(ids.astype(np.int64, copy=False) if is_int else ids)
        found = pc.is_in(self._ids, value_set=wanted).to_numpy(zero_copy_only=False)
        return np.flatnonzero(found & self.live)

    @cached_property
    def _ids(self) -> pa.Array:
        chunks = [chunk for part in self._parts for chunk in part.ids.chunks]
        if not chunks:
            return pa.array([], pa.int64())
        return chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)

    @cached_property
    def _int_ids(self) -> Int64Array | None:
        if not pa.types.is_integer(self._ids.type):
            return None
        ids: Int64Array = self._ids.to_numpy(zero_copy_only=True)
        return ids


def _check_deleted(deleted: Int64Array, n_rows: int) -> Int64Array:
    """Return the positions ascending, distinct and read-only."""
    positions = np.unique(np.asarray(deleted, np.int64))
    if positions.size and (positions[0] < 0 or positions[-1] >= n_rows):
        raise InvalidInputError(
            f"deleted rows {positions[0]} to {positions[-1]} are not all among {n_rows} rows"
        )
    positions.flags.writeable = False
    return positions
