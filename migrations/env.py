"""Alembic's environment, run by ``registry.db.schema`` or by ``alembic -x url=…``."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, Engine

from registry.db.session import make_engine
from registry.db.tables import VERSION_TABLE, metadata
from registry.errors import CorruptFileError


def _engine() -> Engine:
    given = context.config.attributes.get("engine")
    if isinstance(given, Engine):
        return given
    return make_engine(context.get_x_argument(as_dictionary=True)["url"])


def _configure(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
        transactional_ddl=True,
    )


def _set_foreign_keys(connection: Connection, state: str) -> None:
    """Switch SQLite's foreign keys, which no transaction may do.

    Batch mode copies tables: with foreign keys on, that deletes the children.
    """
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute(f"PRAGMA foreign_keys={state}")


def _empty_log(connection: Connection) -> None:
    """Let nothing that a migration took out linger in SQLite's log, if nobody reads just now."""
    driver = connection.connection.driver_connection
    if driver is not None:
        driver.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    if broken:
        raise CorruptFileError(
            f"after the migration {len(broken)} foreign keys would point nowhere, "
            f"first one of table {broken[0][0]!r}; nothing was changed"
        )


def run() -> None:
    """Migrate in one transaction, with SQLite's foreign keys off until the end."""
    engine = _engine()
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.connect() as connection:
        if is_sqlite:
            _set_foreign_keys(connection, "OFF")
        try:
            with connection.begin():
                _configure(connection)
                with context.begin_transaction():
                    context.run_migrations()
                if is_sqlite:
                    _check_foreign_keys(connection)
            if is_sqlite:
                _empty_log(connection)
        finally:
            if is_sqlite:
                _set_foreign_keys(connection, "ON")


run()
