"""Where a registry's database and files lie, and opening the one that is there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..db import schema
from ..db.session import URL, Engine, make_engine, name_of, parse_url
from ..errors import AlreadyExistsError, InvalidInputError, NotARegistryError, StorageError

DATABASE = "samespace.db"
FOLDERS = ("models", "galleries", "probes", "certificates")


def locate(where: str | Path, storage: Path | None) -> tuple[URL, Path]:
    """Return the database's URL and the folder of the files.

    Args:
        where: a directory, or a database URL.
        storage: folder of the files; needed with a database server.

    Raises:
        InvalidInputError: if a URL cannot be read or is of no file or server that we know, or a
            folder is needed.
    """
    text = str(where)
    if "://" not in text:
        folder = Path(text).absolute()
        url = URL.create("sqlite", database=str(folder / DATABASE))
        return url, (storage or folder).absolute()
    url = parse_url(text)
    _check_kind(url)
    if storage is not None:
        return url, storage.absolute()
    if url.get_backend_name() == "sqlite":
        return url, Path(str(url.database)).absolute().parent
    raise InvalidInputError(
        "a registry in a database server needs a folder for its files",
        hint="give storage=… (--storage on the command line)",
    )


def _check_kind(url: URL) -> None:
    backend = url.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise InvalidInputError(
            f"samespace keeps its registry in SQLite or PostgreSQL, not in {backend!r}",
            hint="as in sqlite:///dir/samespace.db or postgresql://host/samespace",
        )
    database = url.database or ":memory:"  # what SQLite makes of it
    if backend == "sqlite" and database.startswith((":memory:", "file:")):
        raise InvalidInputError(
            f"a registry is kept in a file, not in {database!r}",
            hint="as in sqlite:///dir/samespace.db",
        )


def existing_engine(url: URL) -> Engine:
    """Return an engine, without making a SQLite file, or filling an empty one.

    Raises:
        NotARegistryError: if there is no database.
    """
    if _is_blank(url):
        path = Path(url.database or "")
        empty = f": {path.name} is empty" if path.is_file() else ""
        raise NotARegistryError(
            f"there is no samespace registry in {path.parent}{empty}",
            hint="run 'samespace init', or name one with --registry",
        )
    return make_engine(url)


def check_new(url: URL, folder: Path) -> str:
    """Make sure that a registry can be made there, make nothing, and return its name.

    Raises:
        AlreadyExistsError: if there is one already.
        StorageError: if a folder cannot be written.
    """
    engine = make_engine(url)
    name = name_of(engine.url)
    for part in FOLDERS:
        _check_writable(folder / part)
    if _is_blank(url):
        beside = Path(url.database or "").parent
        if not beside.is_dir() and beside not in (folder, *folder.parents):
            raise StorageError(f"there is no folder {beside} for the database", hint="make it")
        return name
    try:
        if schema.current_revision(engine) is not None:
            raise AlreadyExistsError(f"there is a registry in {name} already")
    finally:
        engine.dispose()
    return name


def _is_blank(url: URL) -> bool:
    """Return whether it is a SQLite file that is missing or empty; to connect would fill it."""
    path = Path(url.database or "")
    return url.get_backend_name() == "sqlite" and not (path.is_file() and path.stat().st_size)


def _check_writable(folder: Path) -> None:
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    reason = errno.EACCES if nearest.is_dir() else errno.ENOTDIR
    if reason == errno.ENOTDIR or not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write to {folder}: {os.strerror(reason)}")


@contextmanager
def disposed_on_error(engine: Engine) -> Iterator[None]:
    """Close an engine's connections if the block fails."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise
