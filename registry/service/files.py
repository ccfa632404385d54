"""The files of the storage: whether they are as recorded, and what nobody names."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ..db import galleries, paths, versions
from ..db.session import read
from ..errors import InvalidInputError, StorageError
from ..galleries import storage
from ..galleries.litter import find_unnamed, remove_unnamed
from .context import Context


def verify_gallery(context: Context, name: str) -> int:
    """Compare every file of a gallery with its digest and return how many there are.

    Raises:
        DigestMismatchError: if one is not what was recorded.
        CorruptFileError: if one is missing.
    """
    with read(context.engine) as connection:
        segments = galleries.get_gallery(connection, name).segments
    files = [file for segment in segments for file in segment.files]
    for file in files:
        storage.verify_file(context.storage, file)
    return len(files)


def named_paths(context: Context) -> frozenset[str]:
    """Return every path that a committed row names."""
    with read(context.engine) as connection:
        models = {v.artifact_path for v in versions.all_versions(connection)}
        return paths.stored_paths(connection).union(path for path in models if path)


def find_litter(context: Context, older_than_hours: float) -> tuple[str, ...]:
    """Return files, and folders of models, that no row names, and that are old enough."""
    before = _moment(context, older_than_hours)
    return find_unnamed(context.storage, named_paths(context), modified_before=before)


def prune_litter(
    context: Context, litter: Iterable[str], older_than_hours: float
) -> tuple[str, ...]:
    """Remove what is litter still, and return what was removed.

    Raises:
        StorageError: if the file system refuses; what was removed before stays removed.
    """
    root, before = context.storage, _moment(context, older_than_hours)

    def read_names() -> frozenset[str]:
        return named_paths(context)

    still = find_unnamed(root, read_names(), modified_before=before)
    removed = []
    for relative in sorted(set(litter).intersection(still)):
        try:
            if remove_unnamed(root, relative, read_names, modified_before=before):
                removed.append(relative)
        except OSError as error:
            raise StorageError(
                f"cannot remove {relative}: {error.strerror}",
                hint="check the folder's owner and permissions",
            ) from error
    return tuple(removed)


def _moment(context: Context, hours_ago: float) -> float:
    if math.isnan(hours_ago):
        raise InvalidInputError("the age must be a number of hours", hint="such as 1 or 0.5")
    return context.clock().timestamp() - 3600 * hours_ago
