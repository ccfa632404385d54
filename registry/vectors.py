"""Arrays that know which space they are in: what goes into a gallery and what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from .arrays import Float32Array, Int64Array, LabelArray
from .arrow_columns import FINGERPRINT, VERSION, id_column, metadata_of, rows_of, vector_column
from .domain.galleries import IdType
from .domain.versions import ModelVersion
from .errors import DimensionMismatchError, InvalidInputError, SpaceMismatchError


def check_vectors(vectors: Float32Array, dim: int | None = None) -> Float32Array:
    """Return the vectors if they are fit to be stored or searched with.

    Args:
        vectors: finite float32 in C order. Shape: (n, dim).
        dim: the dimension that is expected, or None for any.

    Raises:
        InvalidInputError: if the type, the memory order, the shape or a value is wrong.
        DimensionMismatchError: if the dimension is another.
    """
    if not isinstance(vectors, np.ndarray) or vectors.ndim != 2:
        shape = getattr(vectors, "shape", type(vectors).__name__)
        raise InvalidInputError(f"vectors must be an array of shape (n, dim) but got {shape}")
    if vectors.dtype != np.float32:
        raise InvalidInputError(
            f"vectors must be float32 but are {vectors.dtype}",
            hint="convert them once, knowingly: vectors.astype(numpy.float32), or --convert",
        )
    if not vectors.flags.c_contiguous:
        raise InvalidInputError(
            "vectors must be contiguous in C order but are a strided view",
            hint="copy them once: numpy.ascontiguousarray(vectors), or --convert",
        )
    if dim is not None and vectors.shape[1] != dim:
        raise DimensionMismatchError(
            f"vectors have {vectors.shape[1]} dimensions but their version has {dim}",
            hint="embed them with the version that you name, or name the version that made them",
        )
    _check_finite(vectors)
    return vectors


# Products of such values, summed over up to 10,000 dimensions and doubled, stay within float32.
_LARGEST = 1e16


def _check_finite(vectors: Float32Array) -> None:
    flat = vectors.ravel()
    with np.errstate(over="ignore", invalid="ignore"):  # a sum may overflow though no value did
        total = np.dot(flat, flat)
    if total < _LARGEST**2:
        return
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise InvalidInputError(
            f"{rows.size} of {len(vectors)} vectors hold NaN or Inf, first in row {rows[0]}",
            hint="drop or embed again those items; a NaN is never similar to anything",
        )
    if (abs(vectors) > _LARGEST).any():
        row = int(np.flatnonzero((abs(vectors) > _LARGEST).any(axis=1))[0])
        raise InvalidInputError(
            f"vectors hold values beyond {_LARGEST:.0e}, first in row {row}: "
            "products of them overflow float32",
            hint="scale or normalise the vectors; such values are usually a broken export",
        )


def check_no_zero_vectors(vectors: Float32Array) -> None:
    """Refuse vectors of norm 0, which have no direction and so no cosine.

    Raises:
        InvalidInputError: if there is one.
    """
    if vectors.size and not vectors.any(axis=1).all():
        rows = np.flatnonzero(~vectors.any(axis=1))
        raise InvalidInputError(
            f"{rows.size} of {len(vectors)} vectors are all zero, first in row {rows[0]}",
            hint="the cosine of a zero vector is undefined: drop those items",
        )


def check_ids(ids: LabelArray, n: int) -> LabelArray:
    """Return item ids as int64 or object-of-str array if they are distinct and of one type.

    Raises:
        InvalidInputError: if the number, the type or the distinctness is wrong.
    """
    if not isinstance(ids, np.ndarray) or ids.ndim != 1 or len(ids) != n:
        shape = getattr(ids, "shape", type(ids).__name__)
        raise InvalidInputError(f"ids must be an array of shape ({n},) but got {shape}")
    found = _as_ids(ids)
    if len(set(found.tolist())) < n:
        repeated = [item for item, count in Counter(found.tolist()).items() if count > 1]
        raise InvalidInputError(
            f"{len(repeated)} ids occur more than once in the batch, for example {repeated[0]!r}",
            hint="every item has one id; drop the duplicates",
        )
    return found


def _as_ids(ids: LabelArray) -> LabelArray:
    if np.issubdtype(ids.dtype, np.integer):
        if ids.dtype == np.uint64 and (ids > np.uint64(np.iinfo(np.int64).max)).any():
            raise InvalidInputError("integer ids must fit into 64 signed bits")
        return ids.astype(np.int64, copy=False)
    if ids.dtype.kind in "UT":
        return ids.astype(object)
    if ids.dtype == object and all(isinstance(i, str) for i in ids):
        return ids
    raise InvalidInputError(
        f"ids must be all integers or all strings but are {ids.dtype}",
        hint="name every item by a str or by an int64",
    )


def id_type(ids: LabelArray) -> IdType:
    """Return whether checked ids are integers or strings."""
    return IdType.INT64 if ids.dtype == np.int64 else IdType.STRING


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors of named items, all made by one model version. Checked on construction.

    Attributes:
        ids: distinct item ids, int64 or str. Shape: (n,).
        vectors: finite, contiguous float32. Shape: (n, version.dim).
        version: the version that made them.

    Raises:
        InvalidInputError: if ids or vectors break a rule above.
        DimensionMismatchError: if the dimension is not the version's.
    """

    ids: LabelArray
    vectors: Float32Array
    version: ModelVersion

    def __post_init__(self) -> None:
        check_vectors(self.vectors, self.version.dim)
        object.__setattr__(self, "ids", check_ids(self.ids, len(self.vectors)))

    @classmethod
    def numbered(cls, vectors: Float32Array, version: ModelVersion) -> Embeddings:
        """Name the rows 0, 1, 2, …, as is handy for queries."""
        return cls(np.arange(len(vectors), dtype=np.int64), vectors, version)

    def to_arrow(self) -> pa.Table:
        """Return a table of id and vector that says which space it is of; vectors are not copied.

        Raises:
            InvalidInputError: if an id is not valid Unicode.
        """
        metadata = {FINGERPRINT: self.version.fingerprint, VERSION: str(self.version.ref)}
        table = pa.table({"id": id_column(self.ids), "vector": vector_column(self.vectors)})
        return table.replace_schema_metadata(metadata)

    @classmethod
    def from_arrow(cls, table: pa.Table, version: ModelVersion) -> Embeddings:
        """Read a table with the columns id and vector.

        Args:
            table: as `to_arrow` gives it; one that names no space is taken at the caller's word.
            version: the version that made the vectors.

        Raises:
            SpaceMismatchError: if the table names another space, or has other dimensions.
            InvalidInputError: if a column is missing, or holds no ids or no float32 vectors.
        """
        said = metadata_of(table)
        if said.get(FINGERPRINT, version.fingerprint) != version.fingerprint:
            raise SpaceMismatchError(
                f"the table says it was made by {said.get(VERSION, 'another version')} "
                f"({said[FINGERPRINT][:19]}…), but {version.ref} is {version.fingerprint[:19]}…",
                hint="name the version that made it",
            )
        missing = [name for name in ("id", "vector") if name not in table.column_names]
        if missing:
            raise InvalidInputError(
                f"the table has no column {missing[0]!r}; it has {table.column_names}"
            )
        if table.column("id").null_count:
            raise InvalidInputError("the table: column 'id' has empty places")
        vectors = np.ascontiguousarray(rows_of(table, "the table"))
        return cls(table.column("id").to_numpy(), vectors, version)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Hits:
    """The nearest items of each query, best first.

    Equal scores are ordered by id. Where fewer than k items were found, or had the least score that
    was asked for, the last places hold score -inf, version number 0 and id -1 or None.

    Attributes:
        ids: item ids. Shape: (n_queries, k).
        scores: similarities, larger is closer; on the gallery's scale where its versions' scores
            are calibrated. Shape: (n_queries, k).
        versions: number of the model version that made each hit's vector. Shape: (n_queries, k).
        uncalibrated: scores before they were calibrated, or None if they are not.
            Shape: (n_queries, k).
    """

    ids: LabelArray
    scores: Float32Array
    versions: Int64Array
    uncalibrated: Float32Array | None = None

    @property
    def raw_scores(self) -> Float32Array:
        """What each hit's own pair of versions scores. Shape: (n_queries, k)."""
        return self.scores if self.uncalibrated is None else self.uncalibrated

    @classmethod
    def concatenated(cls, blocks: Iterable[Hits]) -> Hits:
        """Return the hits of several blocks of queries, one after the other, as one.

        Raises:
            InvalidInputError: if there are none, or they have different numbers of places.
        """
        found = list(blocks)
        if len({hits.ids.shape[1] for hits in found}) != 1:
            raise InvalidInputError(
                f"{len(found)} blocks of hits with different numbers of places are no table"
                if found
                else "there are no hits to put together"
            )
        is_calibrated = any(hits.uncalibrated is not None for hits in found)
        return cls(
            np.concatenate([hits.ids for hits in found]),
            np.concatenate([hits.scores for hits in found]),
            np.concatenate([hits.versions for hits in found]),
            np.concatenate([hits.raw_scores for hits in found]) if is_calibrated else None,
        )

    def to_arrow(self, query_ids: LabelArray | None = None) -> pa.Table:
        """Return a table with a row for every hit; places without a hit are left out.

        Its columns are query (the query's number, or its id), rank (from 1), id, score, raw_score
        (see `raw_scores`) and version (the number of the version that made the hit's vector).

        Args:
            query_ids: what to call the queries, or None to number them from 0. Shape: (n_queries,).

        Raises:
            InvalidInputError: if there are not as many query ids as queries, or they are no ids.
        """
        n, k = self.ids.shape
        queries = np.arange(n) if query_ids is None else check_ids(query_ids, n)
        found = (self.scores > -np.inf).reshape(-1)
        return pa.table(
            {
                "query": id_column(np.repeat(queries, k)[found]),
                "rank": np.tile(np.arange(1, k + 1), n)[found],
                "id": id_column(self.ids.reshape(-1)[found]),
                "score": self.scores.reshape(-1)[found],
                "raw_score": self.raw_scores.reshape(-1)[found],
                "version": self.versions.reshape(-1)[found],
            }
        )

    def __len__(self) -> int:
        return len(self.ids)
