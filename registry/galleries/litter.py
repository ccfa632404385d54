"""Files that no committed row names."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from pathlib import Path

_FOLDERS = ("galleries", "certificates")


def find_unnamed(root: Path, named: Collection[str], *, modified_before: float) -> tuple[str, ...]:
    """Return what is stored and not named, relative to the root, sorted.

    Of galleries and certificates these are files, of models whole folders.

    Args:
        root: the storage.
        named: paths that committed rows name, relative to the root.
        modified_before: seconds since the epoch; what is younger may be about to be named.
    """
    known = frozenset(named)
    found = []
    for path in (*_files(root), *(root / "models").glob("*/*")):
        relative = path.relative_to(root).as_posix()
        if relative not in known and _last_modified(path) < modified_before:
            found.append(relative)
    return tuple(sorted(found))


def _files(root: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        yield from (path for path in (root / folder).rglob("*") if path.is_file())


def _last_modified(path: Path) -> float:
    """Return when a file, or anything in a folder, was last modified."""
    try:
        return max(found.stat().st_mtime for found in (path, *path.rglob("*")))
    except FileNotFoundError:  # it is being moved into place
        return math.inf
