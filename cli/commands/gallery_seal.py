"""``samespace gallery seal``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("name")
@dry_run_option
@session_options
@pass_session
def seal(session: Session, name: str, dry_run: bool) -> int:
    """Build the index of the gallery NAME's open segments; further items open new ones."""
    with session.open() as registry:
        galleries = registry.galleries
        ready = galleries.check_seal(name) if dry_run else galleries.seal(name)
    data = [{"segment": s.number, "version": str(s.version), "n_items": s.n_items} for s in ready]
    verb = "would seal" if dry_run else "sealed"
    lines = [f"{verb} segment {s.number}: {s.n_items} items of {s.version}" for s in ready]
    return session.output.result({"segments": data, "dry_run": dry_run}, "\n".join(lines))
