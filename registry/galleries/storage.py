"""Files of a gallery: written whole or not at all, and checked before they are read.

The order is always the same: a temporary file in the same folder, flushed to the disk, digested,
renamed into place. A file counts only once a committed database row names it, so a crash before
that leaves litter and no damage. Names must be new for every attempt: a name that is taken by
other bytes is refused, because a committed row may rest on them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from ..arrays import Float32Array, LabelArray
from ..arrow_columns import id_column, metadata_of, vector_column
from ..domain.galleries import StoredFile
from ..errors import (
    AlreadyExistsError,
    CorruptFileError,
    DigestMismatchError,
    InvalidInputError,
    StorageError,
)
from ..vectors import check_ids, check_vectors
from .arrow_files import ID, VECTOR, mapped_vectors, read_arrow, write_arrow
from .protocol import VectorIndex

_HINTS = {
    errno.ENOSPC: "free some space; nothing was changed",
    errno.EDQUOT: "free some space; nothing was changed",
    errno.EROFS: "the file system is read-only; nothing was changed",
    errno.EACCES: "check the folder's owner and permissions; nothing was changed",
    errno.EPERM: "check the folder's owner and permissions; nothing was changed",
}


@dataclass(frozen=True, slots=True)
class PartData:
    """A part's contents, mapped from its file and not copied.

    Attributes:
        ids: int64 or large_string item ids, in chunks. Length: n.
        blocks: read-only views of consecutive rows. Shape of each: (rows, dim).
        dim: number of dimensions of the vectors.
        metadata: what the writer noted, such as the space's fingerprint.
    """

    ids: pa.ChunkedArray
    blocks: tuple[Float32Array, ...]
    dim: int
    metadata: Mapping[str, str]

    def __len__(self) -> int:
        return len(self.ids)


def resolve(root: Path, relative: str) -> Path:
    """Return the absolute path of a stored file.

    Raises:
        InvalidInputError: if the path leads out of the storage.
    """
    path = (root / relative).resolve()
    if Path(relative).is_absolute() or ".." in Path(relative).parts:
        raise InvalidInputError(f"a stored file's path must be relative: {relative!r}")
    if not path.is_relative_to(root.resolve()) or path == root.resolve():
        raise InvalidInputError(f"the path {relative!r} leads out of the storage {root}")
    return path


def write_part(
    root: Path,
    relative: str,
    ids: LabelArray,
    vectors: Float32Array,
    *,
    metadata: Mapping[str, str],
) -> StoredFile:
    """Write one batch of a segment as an Arrow file and return what a row must say of it.

    Args:
        root: the storage's folder.
        relative: the new file's path in it, with '/' between folders.
        ids: distinct int64 or str ids. Shape: (n,).
        vectors: finite, contiguous float32. Shape: (n, dim).
        metadata: notes kept in the file's schema, such as ``samespace.fingerprint``.

    Raises:
        InvalidInputError: if ids, vectors or the path break a rule.
        AlreadyExistsError: if the name is taken by other bytes.
        StorageError: if the file system refuses; nothing is left under the name.
    """
    check_vectors(vectors)
    checked = check_ids(ids, len(vectors))
    table = pa.table({ID: id_column(checked), VECTOR: vector_column(vectors)})
    return store_file(root, relative, lambda path: write_arrow(path, table, metadata))


def store_file(root: Path, relative: str, write: Callable[[Path], None]) -> StoredFile:
    """Let `write` fill a temporary file, then flush, digest and rename it into place.

    Raises:
        InvalidInputError: if the path leads out of the storage.
        AlreadyExistsError: if the name is taken by other bytes.
        StorageError: if the file system refuses; nothing is left under the name.
    """
    final = resolve(root, relative)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(8)}.tmp")
    with _storage_errors(relative):
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            _flush(temporary)
            stored = StoredFile(relative, _digest(temporary), temporary.stat().st_size)
            _place(temporary, final, stored)
        finally:
            temporary.unlink(missing_ok=True)
    return stored


def write_bytes(root: Path, relative: str, data: bytes) -> StoredFile:
    """Write bytes as `store_file` does, with the same errors."""
    return store_file(root, relative, lambda path: _fill(path, data))


def write_index(root: Path, relative: str, index: VectorIndex) -> StoredFile:
    """Save an index as `store_file` does, with the same errors."""
    return store_file(root, relative, index.save)


def discard(root: Path, file: StoredFile) -> None:
    """Remove a file that no row came to name; if that fails, it stays as litter."""
    with suppress(OSError):
        resolve(root, file.path).unlink(missing_ok=True)


def read_bytes(root: Path, file: StoredFile) -> bytes:
    """Return a stored file's bytes once they are known to be the recorded ones.

    Raises:
        DigestMismatchError: if they are not.
        CorruptFileError: if the file is missing.
        StorageError: if it cannot be read.
    """
    path = verify_file(root, file)
    with _storage_errors(file.path):
        return path.read_bytes()


def verify_file(root: Path, file: StoredFile) -> Path:
    """Return a stored file's absolute path after checking that it holds the recorded bytes.

    Raises:
        CorruptFileError: if it is missing.
        DigestMismatchError: if its size or its digest is not the recorded one.
        StorageError: if it cannot be read.
    """
    path = resolve(root, file.path)
    with _storage_errors(file.path):
        n_bytes = path.stat().st_size if path.is_file() else file.n_bytes
        if n_bytes != file.n_bytes:
            raise _mismatch(path, f"{file.n_bytes} bytes", f"{n_bytes} bytes")
    return verify_digest(root, file.path, file.digest)


def verify_digest(root: Path, relative: str, digest: str) -> Path:
    """Check a stored file of which only the digest is known; errors as `verify_file`'s."""
    path = resolve(root, relative)
    with _storage_errors(relative):
        if not path.is_file():
            raise _missing(path)
        found = _digest(path)
        if found != digest:
            raise _mismatch(path, f"sha256 {digest}", f"sha256 {found}")
    return path


def read_digested(root: Path, relative: str, digest: str) -> bytes:
    """Return a stored file's bytes, the very ones that have the digest; errors as `verify_file`'s.

    It is read once: what is checked is what is returned.
    """
    path = resolve(root, relative)
    with _storage_errors(relative):
        if not path.is_file():
            raise _missing(path)
        data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != digest:
        raise _mismatch(path, f"sha256 {digest}", f"sha256 {found}")
    return data


def open_part(root: Path, file: StoredFile) -> PartData:
    """Check a part's bytes, then map it.

    Raises:
        DigestMismatchError: if its bytes are not the recorded ones.
        CorruptFileError: if it is missing or no part.
        StorageError: if it cannot be read.
    """
    path = verify_file(root, file)
    table = read_arrow(path, (ID, VECTOR))
    ids = table.column(ID)
    if ids.type not in {pa.int64(), pa.large_string()} or ids.null_count:
        raise CorruptFileError(f"{path}: column {ID!r} is {ids.type}, not int64 or strings")
    blocks = mapped_vectors(path, table)
    dim = table.schema.field(VECTOR).type.list_size
    return PartData(ids, blocks, dim, metadata_of(table))


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _place(temporary: Path, final: Path, stored: StoredFile) -> None:
    if final.exists():
        if final.stat().st_size == stored.n_bytes and _digest(final) == stored.digest:
            return
        raise AlreadyExistsError(
            f"{final} exists already and holds other bytes",
            hint="'samespace gallery prune' removes files that no record names",
        )
    temporary.rename(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _missing(path: Path) -> CorruptFileError:
    return CorruptFileError(
        f"{path} is missing, but the registry has a record of it",
        hint="restore it from a backup; 'samespace doctor' lists all that is missing",
    )


def _mismatch(path: Path, expected: str, found: str) -> DigestMismatchError:
    return DigestMismatchError(
        f"{path} is not the file that was recorded: expected {expected}, found {found}",
        hint="it was changed or damaged after it was written: restore it from a backup",
    )


@contextmanager
def _storage_errors(relative: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or " ".join(str(error).split())[:200]
        raise StorageError(
            f"cannot write or read {relative}: {reason}", hint=_HINTS.get(error.errno or 0)
        ) from error
