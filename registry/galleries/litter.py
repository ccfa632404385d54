"""Files that no committed row names."""

from __future__ import annotations

import math
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

_FOLDERS = ("galleries", "probes", "certificates")


def find_unnamed(root: Path, named: Collection[str], *, modified_before: float) -> tuple[str, ...]:
    """Return what is stored and not named, relative to the root, sorted.

    Of galleries, probe sets and certificates these are files, of models whole folders.

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


def remove_unnamed(
    root: Path, relative: str, read_names: Callable[[], Collection[str]], *, modified_before: float
) -> bool:
    """Remove what `find_unnamed` found, if it still is unnamed and old; return whether it is gone.

    It is set aside first, in one step, and looked at again: who is about to name it either made it
    young before that, or no longer finds it.

    Args:
        root: the storage.
        relative: one of the paths that `find_unnamed` returned.
        read_names: gives the paths that committed rows name at that moment.
        modified_before: as for `find_unnamed`.
    """
    path = root / relative

    def is_litter(place: Path) -> bool:
        return _last_modified(place) < modified_before and relative not in read_names()

    if not is_litter(path):
        return False
    aside = path.with_name(f".{path.name.lstrip('.')[:64]}.{secrets.token_hex(8)}.tmp")
    path.rename(aside)
    is_wanted = True
    try:
        is_wanted = not is_litter(aside)
    finally:
        if is_wanted and not path.exists():  # else somebody put another there
            aside.rename(path)
    if not aside.exists():
        return False
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside)
    else:
        aside.unlink()
    return not path.exists()


def _files(root: Path) -> Iterator[Path]:
    for folder in _FOLDERS:
        yield from (path for path in (root / folder).rglob("*") if path.is_file())


def _last_modified(path: Path) -> float:
    """Return when a file, or anything in a folder, was last modified."""
    try:
        return max(found.stat().st_mtime for found in (path, *path.rglob("*")))
    except FileNotFoundError:  # it is being moved into place
        return math.inf
