"""The schema's version: made and moved by Alembic's migrations only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from ..errors import NotARegistryError, SchemaVersionError
from .session import mapped_errors, name_of, read
from .tables import VERSION_TABLE


def migrations_folder() -> Path:
    """Return where the migrations lie: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    return config


def head_revision() -> str:
    """Return the revision that this code works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaVersionError(f"no migrations found in {migrations_folder()}")
    return head


def current_revision(engine: Engine) -> str | None:
    """Return the revision that a database is at, or None if it holds no registry."""
    with read(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return None
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        return context.get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring a database to a revision, in one transaction."""
    _run(engine, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take a database back to a revision, in one transaction."""
    _run(engine, command.downgrade, revision)


def _run(engine: Engine, step: Callable[[Config, str], None], revision: str) -> None:
    config = _config()
    config.attributes["engine"] = engine
    with mapped_errors(engine):
        step(config, revision)


def check(engine: Engine) -> None:
    """Refuse a database that this code cannot work with.

    Raises:
        NotARegistryError: if it holds no registry.
        SchemaVersionError: if its schema is older or newer than this code.
    """
    found, wanted = known_revision(engine), head_revision()
    if found != wanted:
        raise SchemaVersionError(
            f"{_name(engine)} has schema {found}, this samespace needs {wanted}",
            hint="make a backup, then run 'samespace db upgrade'",
        )


def upgrade_existing(engine: Engine) -> str:
    """Upgrade a database that holds a registry, and return the revision it had before."""
    before = known_revision(engine)
    if before != head_revision():
        upgrade(engine)
    return before


def known_revision(engine: Engine) -> str:
    """Return the revision that a registry's database is at.

    Raises:
        NotARegistryError: if it holds no registry.
        SchemaVersionError: if it is newer than this code.
    """
    found = current_revision(engine)
    if found is None:
        raise NotARegistryError(
            f"{_name(engine)} holds no samespace registry", hint="run 'samespace init'"
        )
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found not in known:
        raise SchemaVersionError(
            f"{_name(engine)} has schema {found}, which is newer than this samespace "
            f"({head_revision()})",
            hint="update samespace's checkout, then: pip install -e .",
        )
    return found


def _name(engine: Engine) -> str:
    return name_of(engine.url)
