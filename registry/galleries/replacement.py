"""Files that take the place of others: written from what is stored, and removing what was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from ..arrays import BoolArray
from ..arrow_columns import vector_column
from ..domain.galleries import StoredFile
from ..errors import ConflictError, StorageError
from .arrow_files import ID, VECTOR, write_batches
from .segments import SegmentReader
from .storage import resolve, store_file, verify_file

_BATCH_BYTES = 2**26
_BATCH_ROWS = 2**18


def write_kept(
    root: Path,
    relative: str,
    reader: SegmentReader,
    kept: BoolArray,
    *,
    metadata: Mapping[str, str],
) -> StoredFile:
    """Write some rows of a segment as one part, in their order and bit for bit.

    Memory is bounded: rows are copied 64 MiB at a time.

    Args:
        root: the storage's folder.
        relative: the new file's path in it.
        reader: the segment, opened.
        kept: which of its rows, at least one. Shape: (n_rows,).
        metadata: notes kept in the file's schema.

    Raises:
        AlreadyExistsError: if the name is taken by other bytes.
        StorageError: if the file system refuses; nothing is left under the name.
    """
    size = max(1, min(_BATCH_ROWS, _BATCH_BYTES // (4 * reader.dim)))
    schema = pa.schema(
        [(ID, reader.id_column_type), (VECTOR, pa.list_(pa.float32(), reader.dim))],
        metadata=dict(metadata),
    )

    def batches() -> Iterator[pa.RecordBatch]:
        for ids, vectors in reader.rows(kept, size):
            yield pa.record_batch([ids, vector_column(vectors)], schema=schema)

    return store_file(root, relative, lambda path: write_batches(path, schema, batches()))


def clone_file(root: Path, file: StoredFile, relative: str) -> StoredFile:
    """Give a stored file's bytes a second name, without copying them where that can be done.

    Raises:
        DigestMismatchError: if its bytes are not the recorded ones.
        CorruptFileError: if it is missing.
        StorageError: if the file system refuses; nothing is left under the name.
    """
    source = verify_file(root, file)
    return store_file(root, relative, lambda path: _link(source, path))


def _link(source: Path, path: Path) -> None:
    try:
        path.hardlink_to(source)
    except OSError:  # the file system has no links
        shutil.copyfile(source, path)
    os.utime(path)  # young, so that nobody takes it for litter before a row names it


def make_young(root: Path, file: StoredFile) -> None:
    """Keep a file from being pruned for the hour in which a row will name it.

    Raises:
        ConflictError: if somebody pruned it already.
        StorageError: if the file system refuses.
    """
    try:
        os.utime(resolve(root, file.path))
    except FileNotFoundError as error:
        raise ConflictError(
            f"{file.path} was removed before it was committed, as if it had been left behind",
            hint="do not prune files that are younger than the longest command; try again",
        ) from error
    except OSError as error:
        raise StorageError(f"cannot write {file.path}: {error.strerror}") from error


def remove_files(root: Path, paths: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Remove stored files for good, and return which were there, and why others could not go.

    Their folders are flushed, so that no crash brings them back. What was mapped by a process
    stays on the disk until that process lets go of it.
    """
    removed, refused = [], {}
    folders = set()
    for relative in paths:
        path = resolve(root, relative)
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as error:
            refused[relative] = error.strerror or str(error)
            continue
        removed.append(relative)
        folders.add(path.parent)
    for folder in folders:
        _flush_folder(folder)
    return tuple(removed), refused


def _flush_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
