"""Vectors and ids as Arrow columns, and back: as they are kept and as they are handed out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from .arrays import Float32Array, LabelArray
from .errors import InvalidInputError

# what a table of vectors says in its schema's metadata
FINGERPRINT = "samespace.fingerprint"
VERSION = "samespace.version"
_ROWS = "save one vector of float32 a row, all of one length"


def vector_column(vectors: Float32Array) -> pa.Array:
    """Return rows as a fixed-size list column without copying. Shape: (n, dim)."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def id_column(ids: LabelArray) -> pa.Array:
    """Return ids as a column of int64, or of strings with 64-bit offsets.

    Raises:
        InvalidInputError: if a string is not valid Unicode.
    """
    if ids.dtype == np.int64:
        return pa.array(ids)
    try:
        return pa.array(ids, type=pa.large_string())
    except (pa.ArrowException, UnicodeError) as error:
        raise InvalidInputError(f"ids cannot be written as UTF-8 text: {error}") from error


def rows_of(table: Any, source: str, name: str = "vector") -> Any:
    """Return a column of lists as an array of rows, of whatever number type. Shape: (n, dim).

    Args:
        table: a `pyarrow.Table`.
        source: what is said of it in errors, such as its file.
        name: the column.

    Raises:
        InvalidInputError: if it is no column of lists of one length, or has empty places.
    """
    column = table.column(name).combine_chunks()
    kind = column.type
    is_list = (
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
    if not is_list:
        raise InvalidInputError(
            f"{source}: column {name!r} is {kind}, not a list of float32", hint=_ROWS
        )
    values = column.flatten()
    if column.null_count or values.null_count:
        raise InvalidInputError(
            f"{source}: column {name!r} has empty places", hint="drop or embed again those items"
        )
    if not len(column):
        return np.empty((0, getattr(kind, "list_size", 0)), np.float32)
    dim, rest = divmod(len(values), len(column))
    if rest or (column.value_lengths().to_numpy(zero_copy_only=False) != dim).any():
        raise InvalidInputError(
            f"{source}: vectors in column {name!r} differ in length", hint="are all of one model?"
        )
    return values.to_numpy(zero_copy_only=False).reshape(len(column), dim)


def metadata_of(table: Any) -> dict[str, str]:
    """Return the schema's metadata as text."""
    pairs = (table.schema.metadata or {}).items()
    return {
        key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in pairs
    }
