"""Arrow IPC files of vectors: uncompressed, so that reading one is mapping it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from ..arrays import Float32Array
from ..errors import CorruptFileError

ID = "id"
VECTOR = "vector"
_BATCH_ROWS = 2**18


def write_arrow(path: Path, table: pa.Table, metadata: Mapping[str, str]) -> None:
    """Write a table as one Arrow file, in record batches of bounded size."""
    schema = table.schema.with_metadata(dict(metadata))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_table(table.cast(schema), max_chunksize=_BATCH_ROWS)


def read_arrow(path: Path, columns: Sequence[str]) -> pa.Table:
    """Map an Arrow file; nothing is copied and the pages are read when they are touched.

    Raises:
        CorruptFileError: if it is no Arrow file or lacks one of the columns.
    """
    try:
        with pa.memory_map(str(path), "r") as source:
            table = pa.ipc.open_file(source).read_all()
        table.validate()
    except (pa.ArrowException, OSError) as error:
        raise CorruptFileError(f"{path} is not a readable Arrow file: {_line(error)}") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise CorruptFileError(f"{path} has no column {missing[0]!r}; it has {table.column_names}")
    return table


def mapped_vectors(path: Path, table: pa.Table) -> tuple[Float32Array, ...]:
    """Return the vector column's blocks as read-only views. Shape of each: (n, dim).

    Raises:
        CorruptFileError: if the column is not of float32 vectors without gaps.
    """
    column = table.column(VECTOR)
    kind = column.type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise CorruptFileError(f"{path}: column {VECTOR!r} is {kind}, not float32 vectors")
    blocks: list[Float32Array] = []
    for chunk in column.chunks:
        values = chunk.flatten()
        if chunk.null_count or values.null_count:
            raise CorruptFileError(f"{path}: column {VECTOR!r} has gaps")
        blocks.append(values.to_numpy(zero_copy_only=True).reshape(len(chunk), kind.list_size))
    return tuple(blocks)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
