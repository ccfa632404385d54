"""``samespace gallery prune``."""

from __future__ import annotations

import click

from cli.options import Session, confirm, dry_run_option, pass_session, session_options
from cli.output import count_stored


@click.command()
@click.option(
    "--older-than", type=click.FloatRange(0), default=1.0, show_default=True, help="In hours."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@session_options
@pass_session
def prune(session: Session, older_than: float, yes: bool, dry_run: bool) -> int:
    """Remove files and models' folders that no row names: what interrupted commands left behind."""
    with session.open() as registry:
        found = registry.galleries.litter(older_than_hours=older_than)
        if found and not dry_run:
            confirm(f"remove {count_stored(found)} that nothing names?", is_confirmed=yes)
            found = registry.galleries.prune(found, older_than_hours=older_than)
    verb = "would remove" if dry_run else "removed"
    return session.output.result(
        {"files": list(found), "dry_run": dry_run}, f"{verb} {count_stored(found)}", *found
    )
