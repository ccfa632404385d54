"""``samespace db``: the version of the database's schema."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options


@click.group()
def db() -> None:
    """Look at and upgrade the database's schema."""


@db.command()
@session_options
@pass_session
def upgrade(session: Session) -> int:
    """Bring an older database to this samespace's schema. Make a backup first."""
    from registry.service import upgrade_database

    before, after = upgrade_database(session.where)
    done = "already at" if before == after else f"upgraded from {before} to"
    return session.output.result({"before": before, "after": after}, f"{done} schema {after}")
