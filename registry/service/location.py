"""Where a registry's database and files lie, and opening the one that is there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..db.session import URL, Engine, make_engine, parse_url
from ..errors import InvalidInputError, NotARegistryError

DATABASE = "samespace.db"


def locate(where: str | Path, storage: Path | None) -> tuple[URL, Path]:
    """Return the database's URL and the folder of the files.

    Args:
        where: a directory, or a database URL.
        storage: folder of the files; needed with a database server.

    Raises:
        InvalidInputError: if a URL cannot be read, or a folder is needed.
    """
    text = str(where)
    if "://" not in text:
        folder = Path(text).absolute()
        url = URL.create("sqlite", database=str(folder / DATABASE))
        return url, (storage or folder).absolute()
    url = parse_url(text)
    if storage is not None:
        return url, storage.absolute()
    if url.get_backend_name() == "sqlite" and url.database:
        return url, Path(url.database).absolute().parent
    raise InvalidInputError(
        "a registry in a database server needs a folder for its files",
        hint="give storage=… (--storage on the command line)",
    )


def existing_engine(url: URL) -> Engine:
    """Return an engine, without making a SQLite file where there is none.

    Raises:
        NotARegistryError: if there is none.
    """
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise NotARegistryError(
            f"there is no samespace registry in {Path(url.database or '').parent}",
            hint="run 'samespace init', or name one with --registry",
        )
    return make_engine(url)


@contextmanager
def disposed_on_error(engine: Engine) -> Iterator[None]:
    """Close an engine's connections if the block fails."""
    try:
        yield
    except BaseException:
        engine.dispose()
        raise
