"""``samespace db``: the database's schema, and what is older than it."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options
from cli.output import table


@click.group()
def db() -> None:
    """Upgrade the database, and adopt what it held before."""


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


@db.command()
@dry_run_option
@session_options
@pass_session
def adopt(session: Session, dry_run: bool) -> int:
    """Vouch with your signature for events that no key of yours signed. Look at them first.

    It is needed once for a registry that is older than signing, and after a key was given up. From
    then on everything that is served is verified. What was tampered with is never adopted, and
    certificates stay as they are: certify again.

    \b
    Example:
      samespace audit
      samespace db adopt --dry-run
      samespace db adopt
    """
    with session.open() as registry:
        adopted = registry.integrity.adopt(dry_run=dry_run)
    verb = "would adopt" if dry_run else "adopted"
    rows = [(f"{e.at:%Y-%m-%d %H:%M:%S}", e.actor, e.name) for e in adopted]
    return session.output.result(
        {"events": [{"name": e.name, "hash": e.hash} for e in adopted], "dry_run": dry_run},
        table("", ("at (UTC)", "by", "event"), rows) if rows else "",
        f"{verb} {len(adopted)} events" if rows else "every event that moves trust is signed",
    )
