"""``samespace db``: the version of the database's schema."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.group()
def db() -> None:
    """Look at and upgrade the database's schema."""


@db.command()
@dry_run_option
@session_options
@pass_session
def upgrade(session: Session, dry_run: bool) -> int:
    """Bring an older database to this samespace's schema. Make a backup first."""
    from registry.service import upgrade_database

    before, after = upgrade_database(session.where, dry_run=dry_run)
    verb = "would upgrade" if dry_run else "upgraded"
    done = "already at" if before == after else f"{verb} from {before} to"
    return session.output.result(
        {"before": before, "after": after, "dry_run": dry_run}, f"{done} schema {after}"
    )
