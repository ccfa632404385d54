"""Engines and transactions: one write at a time on SQLite, row locks on PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from sqlite3 import Connection as SqliteConnection
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Executable, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ..errors import (
    BackendUnavailableError,
    ConflictError,
    CorruptFileError,
    InvalidInputError,
    StorageError,
)
from ..installation import extra_hint

__all__ = [
    "URL",
    "Connection",
    "Engine",
    "Watch",
    "make_engine",
    "mapped_errors",
    "name_of",
    "parse_url",
    "read",
    "to_moment",
    "to_text",
    "write",
]

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=10000",
    "foreign_keys=ON",
    "secure_delete=ON",  # what a migration takes out is overwritten, not only unlinked
)
_STORAGE_HINTS = {
    "sqlite": "is the disk full or read-only, or the folder somebody else's? nothing was changed",
    "postgresql": "is the server running, and is the URL right?",
}
_SOMEONE_ELSE = ("locked", "deadlock", "could not serialize")


def parse_url(url: str | URL) -> URL:
    """Read a database's URL.

    Raises:
        InvalidInputError: if it cannot be read; its password is not repeated.
    """
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        shown = re.sub(r"^.*@", "***@", str(url), flags=re.DOTALL).split("?", 1)[0]
        raise InvalidInputError(
            f"{shown!r} is not a database URL", hint="as in sqlite:///dir/samespace.db"
        ) from error


def name_of(url: URL) -> str:
    """Return a URL as it may be shown: without its password, and without options."""
    return url.set(query={}).render_as_string(hide_password=True)


def make_engine(url: str | URL) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL.

    On SQLite every transaction that may write begins with BEGIN IMMEDIATE: with the driver's own
    defaults two read-modify-write transactions lose updates.

    Raises:
        InvalidInputError: if the URL cannot be read or names another database.
        BackendUnavailableError: if the database's driver is not installed.
    """
    parsed = parse_url(url)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        raise InvalidInputError(
            f"samespace keeps its registry in SQLite or PostgreSQL, not in {backend!r}"
        )
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    try:
        engine = create_engine(parsed)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise BackendUnavailableError(
            f"the driver of {parsed.drivername} is not installed",
            hint=extra_hint("postgres"),
        ) from error
    if backend == "sqlite":
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: SqliteConnection, _record: Any) -> None:
    connection.isolation_level = None  # the driver must send no BEGIN of its own
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("isolation_level") == "AUTOCOMMIT":
        return
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("write", True) else "BEGIN")


@contextmanager
def write(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that commits at the end of the block, or leaves no trace."""
    with mapped_errors(engine), engine.begin() as connection:
        yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Open one transaction that only reads; it sees one state of the database.

    PostgreSQL would by default show every statement another state.
    """
    options: dict[str, Any] = {"write": False}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "REPEATABLE READ"
    with mapped_errors(engine), engine.connect() as connection:
        yield connection.execution_options(**options)


class Watch:
    """Asks one small question again and again, over a connection of its own, without transactions.

    It is what lets every search know that nothing happened meanwhile, for some microseconds.
    Several threads may ask.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._raw: Any = None
        self._generation = 0
        self._lock = Lock()

    def ask(self, query: Executable, parameters: Mapping[str, str]) -> tuple[Any, ...]:
        """Return the single row that a prepared query gives at this moment."""
        with self._lock, mapped_errors(self._engine):
            try:
                return tuple(self._open().execute(query, parameters).one())
            except BaseException:
                self._discard()
                raise

    def tick(self) -> tuple[int, int] | None:
        """Return what changes with every commit, or None where there is no such thing.

        SQLite counts what other connections commit. The counts of two connections say nothing of
        each other, so it comes with the number of the connection. It is asked below SQLAlchemy,
        because every single query waits for the answer.
        """
        with self._lock:
            if self._raw is None:
                return None
            try:
                found: int = self._raw.execute("PRAGMA data_version").fetchone()[0]
            except self._engine.dialect.loaded_dbapi.Error:
                self._discard()
                return None
            return (self._generation, found)

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            )
            self._generation += 1
            if self._engine.dialect.name == "sqlite":
                self._raw = self._connection.connection.dbapi_connection
        return self._connection

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._discard()

    def _discard(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = self._raw = None


@contextmanager
def mapped_errors(engine: Engine) -> Iterator[None]:
    """Turn the database's exceptions into ours: the one boundary where that is done."""
    name = name_of(engine.url)
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(
            f"{name}: someone else wrote the same fact at the same moment",
            hint="look at the present state and try again",
        ) from error
    except OperationalError as error:
        reason = _reason(error)
        if any(word in reason for word in _SOMEONE_ELSE):
            raise ConflictError(f"{name} is locked by another process", hint="try again") from error
        hint = _STORAGE_HINTS.get(engine.dialect.name)
        raise StorageError(f"{name}: {reason}", hint=hint) from error
    except DataError as error:
        raise InvalidInputError(f"{name} cannot keep a value: {_reason(error)}") from error
    except DBAPIError as error:
        raise CorruptFileError(f"{name}: {_reason(error)}") from error
    except PoolTimeoutError as error:
        raise ConflictError(
            f"{name}: too many threads wait for a connection", hint="use fewer threads at once"
        ) from error


def _reason(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__


def to_text(moment: datetime) -> str:
    """Return a moment as ISO 8601 text in UTC."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def to_moment(text: str) -> datetime:
    """Return the moment that `to_text` wrote."""
    return datetime.fromisoformat(text)
