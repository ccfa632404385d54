"""``samespace gallery prune``."""

from __future__ import annotations

import click

from cli.options import Session, confirm, dry_run_option, pass_session, session_options


@click.command()
@click.option("--older-than", type=float, default=1.0, show_default=True, help="In hours.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@session_options
@pass_session
def prune(session: Session, older_than: float, yes: bool, dry_run: bool) -> int:
    """Remove files and models' folders that no row names: what interrupted commands left behind."""
    with session.open() as registry:
        litter = registry.galleries.litter(older_than_hours=older_than)
        if litter and not dry_run:
            confirm(f"remove {len(litter)} files that nothing names?", is_confirmed=yes)
            still = registry.galleries.litter(older_than_hours=older_than)
            registry.galleries.prune(path for path in litter if path in still)
    verb = "would remove" if dry_run else "removed"
    return session.output.result(
        {"files": list(litter), "dry_run": dry_run}, f"{verb} {len(litter)} files", *litter
    )
