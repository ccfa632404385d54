"""Files that users bring and take: vectors, ids and labels as .npy, .npz, Parquet or Arrow.

Nothing is guessed and nothing is unpickled. What is not contiguous float32 is refused, unless the
caller asks for the conversion.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .arrays import Float32Array, LabelArray
from .arrow_columns import FINGERPRINT, metadata_of, rows_of
from .errors import InvalidInputError, StorageError
from .file_formats import check_suffix, load_lines, load_npy, load_npz, load_table, suffix_of
from .vectors import Embeddings

_TABLES = (".parquet", ".arrow", ".feather")
_ROWS = "save one vector of float32 a row, all of one length"


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Vectors from a file.

    Attributes:
        ids: item ids, or None if the file has none. Shape: (n,).
        vectors: contiguous float32, perhaps mapped. Shape: (n, dim).
        fingerprint: the space that the file says they are of, or None.
    """

    ids: LabelArray | None
    vectors: Float32Array
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class LabelTable:
    """Labels from a file.

    Attributes:
        ids: which items or queries they belong to, or None if by row. Shape: (n,).
        labels: class or identity. Shape: (n,).
        groups: a coarser unit that is resampled as one, such as a person, or None. Shape: (n,).
    """

    ids: LabelArray | None
    labels: LabelArray
    groups: LabelArray | None


def read_vectors(path: Path, *, convert: bool = False) -> VectorTable:
    """Read ``.npy`` (vectors), ``.npz`` (vectors, ids) or a table with columns id and vector.

    Args:
        path: the file; its suffix says what it is.
        convert: turn other numbers and memory orders into contiguous float32.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is truncated or not what its suffix says.
        InvalidInputError: if it holds no vectors, or not float32 ones and `convert` is off.
    """
    suffix = suffix_of(path, (".npy", ".npz", *_TABLES))
    if suffix == ".npy":
        return VectorTable(None, _as_vectors(path, load_npy(path), convert), None)
    if suffix == ".npz":
        arrays = load_npz(path, "vectors")
        vectors = _as_vectors(path, arrays["vectors"], convert)
        return VectorTable(_same_length(path, arrays.get("ids"), vectors), vectors, None)
    table = load_table(path, suffix, "vector", "id")
    vectors = _as_vectors(path, rows_of(table, str(path)), convert)
    ids = _column(path, table, "id") if "id" in table.column_names else None
    return VectorTable(ids, vectors, metadata_of(table).get(FINGERPRINT))


def read_ids(path: Path, *, as_text: bool = False) -> LabelArray:
    """Read ids from ``.npy``, ``.txt`` (one a line), or the column id of a table or ``.csv``.

    Args:
        path: the file; its suffix says what it is.
        as_text: take numbers in ``.csv``, which knows no types, as the strings they are there.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is truncated or not what its suffix says.
        InvalidInputError: if it holds no ids, or an empty one.
    """
    suffix = suffix_of(path, (".npy", ".txt", ".csv", *_TABLES))
    if suffix == ".npy":
        return _as_labels(path, load_npy(path))
    if suffix == ".txt":
        return np.array(load_lines(path), dtype=object)
    ids = _column(path, load_table(path, suffix, "id"), "id")
    is_number = ids.dtype == np.int64
    return ids.astype(str) if as_text and suffix == ".csv" and is_number else ids


def read_labels(path: Path) -> LabelTable:
    """Read labels from ``.npy``, ``.npz`` (labels, ids, groups), a table or ``.csv``.

    A table has a column label and, if it likes, id and group. In ``.csv`` they are integers where
    every value is written as one, else strings: ``001`` stays what it is.

    Raises:
        NotFoundError: if there is no such file.
        CorruptFileError: if it is truncated or not what its suffix says.
        InvalidInputError: if it holds no labels.
    """
    suffix = suffix_of(path, (".npy", ".npz", ".csv", *_TABLES))
    if suffix == ".npy":
        return LabelTable(None, _as_labels(path, load_npy(path)), None)
    if suffix == ".npz":
        arrays = load_npz(path, "labels")
        labels = _as_labels(path, arrays["labels"])
        ids = _same_length(path, arrays.get("ids"), labels)
        return LabelTable(ids, labels, _same_length(path, arrays.get("groups"), labels))
    table = load_table(path, suffix, "label", "id", "group")
    ids, groups = (
        _column(path, table, name) if name in table.column_names else None
        for name in ("id", "group")
    )
    return LabelTable(ids, _column(path, table, "label"), groups)


def write_vectors(path: Path, embeddings: Embeddings) -> None:
    """Write ids and vectors to a Parquet file that says which space they are of.

    Raises:
        InvalidInputError: if the path does not end in ``.parquet``.
        StorageError: if the file system refuses; then nothing is left under the name.
    """
    check_suffix(path, (".parquet",))
    table = embeddings.to_arrow()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        pq.write_table(table, temporary)
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _as_vectors(path: Path, array: Any, convert: bool) -> Float32Array:
    if array.ndim != 2:
        raise InvalidInputError(
            f"{path}: vectors must have shape (n, dim) but have {array.shape}", hint=_ROWS
        )
    if array.dtype.kind not in "fiu":
        raise InvalidInputError(
            f"{path}: vectors must be float32 but are {array.dtype}", hint=_ROWS
        )
    if array.dtype == np.float32 and array.dtype.isnative and array.flags.c_contiguous:
        found: Float32Array = array
        return found
    if not convert:
        order = "" if array.flags.c_contiguous else " in column order"
        raise InvalidInputError(
            f"{path}: vectors must be contiguous float32 but are {array.dtype}{order}",
            hint="convert them once, knowingly: vectors.astype(numpy.float32), or --convert",
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused with its row's number
        return np.ascontiguousarray(array, dtype=np.float32)


def _column(path: Path, table: Any, name: str) -> LabelArray:
    column = table.column(name)
    if column.null_count:
        first = pc.index(pc.is_null(column), value=True).as_py()
        raise InvalidInputError(
            f"{path}: column {name!r} has {column.null_count} empty places, first in row {first}",
            hint="rows are counted from 0, without the header: fill that one in, or drop the row",
        )
    return _as_labels(path, column.to_numpy())


def _as_labels(path: Path, array: Any) -> LabelArray:
    is_text = array.dtype == object and all(isinstance(value, str) for value in array.tolist())
    if array.ndim != 1 or (array.dtype.kind not in "iuU" and not is_text):
        raise InvalidInputError(
            f"{path}: ids and labels must be one row of integers or strings, "
            f"but are {array.dtype} of shape {array.shape}",
            hint="save one number or fixed-width string a row: array.astype(str)",
        )
    labels: LabelArray = array
    return labels


def _same_length(path: Path, array: Any, other: LabelArray) -> LabelArray | None:
    if array is None:
        return None
    labels = _as_labels(path, array)
    if len(labels) != len(other):
        raise InvalidInputError(
            f"{path}: {len(labels)} ids or groups for {len(other)} rows",
            hint="all arrays of the file must belong together row by row",
        )
    return labels
