"""Files that no committed row names."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_FOLDERS = ("galleries", "certificates")


def find_unnamed(root: Path, named: Collection[str], *, modified_before: float) -> tuple[str, ...]:
    """Return the stored files that are not named, relative to the root, sorted.

    Args:
        root: the storage.
        named: paths that committed rows name, relative to the root.
        modified_before: seconds since the epoch; younger files may be about to be named.
    """
    known = frozenset(named)
    found = []
    for folder in _FOLDERS:
        for path in (root / folder).rglob("*"):
            relative = path.relative_to(root).as_posix()
            if not path.is_file() or relative in known:
                continue
            if path.stat().st_mtime < modified_before:
                found.append(relative)
    return tuple(sorted(found))
