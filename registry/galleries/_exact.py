"""The exact back end in NumPy: the reference for all others, and the index of open segments.

Rows are scored block by block, so that memory stays bounded, and blocks may be mapped files. A
dimension below that of the blocks compares their first dimensions, on strided views and with the
norms of the prefix; nothing is copied or padded.

A score and its row are packed into one integer key, ordered by (score descending, position
ascending), so that a partition of keys is deterministic, also among equal scores at the k-th
place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ..arrays import Float32Array, Int64Array
from ..arrow_columns import vector_column
from ..domain.galleries import IndexSpec, Metric
from ..errors import CorruptFileError, DimensionMismatchError, InvalidInputError
from ..vectors import check_vectors
from .arrow_files import VECTOR, mapped_vectors, read_arrow, write_arrow
from .geometry import in_chunks, inverse_norms, squared_norms
from .protocol import Neighbours

_QUERIES_AT_ONCE = 256
_SCORES_AT_ONCE = 2**22
_MAX_CHUNK = 2**16
_LOW = np.int64(0xFFFFFFFF)
_SIGN = np.int32(0x7FFFFFFF)


class ExactIndex:
    """Exhaustive search over blocks of rows.

    Args:
        blocks: consecutive float32 rows, kept by reference. Shape of each: (n, >= dim).
        metric: the similarity.
        dim: number of leading dimensions that are compared.
    """

    def __init__(self, blocks: Sequence[Float32Array], *, metric: Metric, dim: int) -> None:
        for block in blocks:
            if block.shape[1] < dim:
                raise DimensionMismatchError(
                    f"vectors have {block.shape[1]} dimensions, too few to compare {dim}"
                )
        self._blocks = tuple(block[:, :dim] for block in blocks)
        self._metric = metric
        self._dim = dim
        self._n = sum(len(block) for block in blocks)
        if self._n >= _LOW:
            raise InvalidInputError(f"an exact index holds fewer than 2^32 rows, not {self._n}")
        self._terms = self._row_terms()

    def _row_terms(self) -> Float32Array:
        """Return what a row adds to its scores: inverse norms, squared norms, or nothing."""
        terms = np.empty(0 if self._metric is Metric.INNER_PRODUCT else self._n, np.float32)
        if terms.size:
            norms = inverse_norms if self._metric is Metric.COSINE else squared_norms
            for first, rows in in_chunks(self._blocks):
                terms[first : first + len(rows)] = norms(rows)
        return terms

    def __len__(self) -> int:
        return self._n

    def search(
        self, queries: Float32Array, k: int, *, excluded: Int64Array | None = None
    ) -> Neighbours:
        """Find the k nearest rows of each query; among equal scores the first row comes first."""
        check_vectors(queries, self._dim)
        keys = np.full((len(queries), k), _NOTHING)
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            part = slice(start, start + _QUERIES_AT_ONCE)
            keys[part] = self._best_keys(queries[part], keys[part], excluded)
        return _unpack(keys)

    def _best_keys(
        self, queries: Float32Array, best: Int64Array, excluded: Int64Array | None
    ) -> Int64Array:
        rows_at_once = min(_MAX_CHUNK, max(1024, _SCORES_AT_ONCE // len(queries)))
        for first, rows in in_chunks(self._blocks, rows_at_once):
            scores = self._score(queries, rows, first)
            if excluded is not None:
                begin, end = np.searchsorted(excluded, (first, first + len(rows)))
                scores[:, excluded[begin:end] - first] = -np.inf
            best = _merge(best, scores, first)
        return best

    def _score(self, queries: Float32Array, rows: Float32Array, first: int) -> Float32Array:
        scores: Float32Array = queries @ rows.T
        terms = self._terms[first : first + len(rows)]
        if self._metric is Metric.COSINE:
            scores *= terms
        elif self._metric is Metric.L2:
            # -|q - x|^2 = 2 q.x - |x|^2 - |q|^2, at most 0 but for rounding
            scores *= 2
            scores -= terms
            scores -= squared_norms(queries).astype(np.float32)[:, None]
            np.minimum(scores, 0, out=scores)
        return scores

    def save(self, path: Path) -> None:
        """Write the vectors to an Arrow file of one column."""
        chunks = [vector_column(np.ascontiguousarray(rows)) for _, rows in in_chunks(self._blocks)]
        kind = pa.list_(pa.float32(), self._dim)
        table = pa.table({VECTOR: pa.chunked_array(chunks, type=kind)})
        write_arrow(path, table, {"samespace.metric": self._metric.value})


def check(*, dim: int, metric: Metric, spec: IndexSpec) -> None:
    """Refuse options and recipes, of which there are none."""
    del dim, metric
    if spec.options:
        raise InvalidInputError(
            f"the exact back end has no option {min(spec.options)!r}", hint="leave options out"
        )
    if spec.factory not in {"", "Flat"}:
        raise InvalidInputError(
            f"the exact back end has no factory {spec.factory!r}", hint="use 'Flat'"
        )


def build(
    blocks: Iterable[Float32Array], *, dim: int, metric: Metric, spec: IndexSpec
) -> ExactIndex:
    """Keep the blocks by reference and search them exhaustively."""
    check(dim=dim, metric=metric, spec=spec)
    return ExactIndex([check_vectors(block, dim) for block in blocks], metric=metric, dim=dim)


def open(path: Path, *, dim: int, metric: Metric, spec: IndexSpec) -> ExactIndex:  # noqa: A001
    """Map what `save` wrote."""
    check(dim=dim, metric=metric, spec=spec)
    table = read_arrow(path, (VECTOR,))
    blocks = mapped_vectors(path, table)
    found = table.schema.field(VECTOR).type.list_size
    saved = (table.schema.metadata or {}).get(b"samespace.metric", b"").decode()
    if found != dim or saved != metric.value:
        raise CorruptFileError(
            f"{path} is an index of {found} dimensions for {saved}, not of {dim} for {metric.value}"
        )
    return ExactIndex(blocks, metric=metric, dim=dim)


def _pack(scores: Float32Array, positions: Int64Array) -> Int64Array:
    """Return keys whose order is (score ascending, position descending)."""
    bits = (scores + np.float32(0)).view(np.int32)  # adding 0 makes -0.0 equal to 0.0
    ordered = bits ^ ((bits >> 31) & _SIGN)
    keys: Int64Array = (ordered.astype(np.int64) << 32) | (_LOW - positions)
    return keys


def _unpack(keys: Int64Array) -> Neighbours:
    scores = _key_scores(keys)
    positions = _LOW - (keys & _LOW)
    positions[scores == -np.inf] = -1
    return Neighbours(positions, scores)


def _key_scores(keys: Int64Array) -> Float32Array:
    ordered = (keys >> 32).astype(np.int32)
    scores: Float32Array = (ordered ^ ((ordered >> 31) & _SIGN)).view(np.float32)
    return scores


_NOTHING = _pack(np.array([-np.inf], np.float32), np.array([_LOW]))[0]


def _merge(best: Int64Array, scores: Float32Array, first: int) -> Int64Array:
    """Return the k best keys of those so far and of a chunk of later rows.

    Only a score above the k-th so far can enter, since an equal one has a later position.

    Args:
        best: keys so far, descending. Shape: (n, k).
        scores: of the chunk. Shape: (n, rows).
        first: position of the chunk's first row.
    """
    above = scores > _key_scores(best[:, -1:])
    counts = np.count_nonzero(above, axis=1)
    width = int(counts.max(initial=0))
    if width == 0:
        return best
    if width > scores.shape[1] // 8:
        positions = np.arange(first, first + scores.shape[1])
        found = np.where(above, _pack(scores, positions), _NOTHING)
    else:
        rows, columns = np.nonzero(above)
        slots = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.full((len(scores), width), _NOTHING)
        found[rows, slots] = _pack(scores[rows, columns], columns + first)
    k = best.shape[1]
    merged = np.partition(np.concatenate([best, found], axis=1), -k, axis=1)[:, -k:]
    merged.sort(axis=1)
    return merged[:, ::-1]


if TYPE_CHECKING:
    from .protocol import VectorIndex

    _: VectorIndex = ExactIndex([], metric=Metric.COSINE, dim=1)
