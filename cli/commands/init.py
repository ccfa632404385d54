"""``samespace init``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@dry_run_option
@session_options
@pass_session
def init(session: Session, dry_run: bool) -> int:
    """Make a new registry.

    \b
    Example:
      samespace init
      samespace init --registry postgresql://host/samespace --storage /srv/samespace
    """
    from registry import Registry

    name, storage = Registry.check_create(session.where, storage=session.storage)
    where = name if "://" in session.where else session.where
    data = {"registry": where, "storage": str(storage), "dry_run": dry_run}
    if dry_run:
        return session.output.result(data, f"would make a registry in {where}")
    Registry.create(session.where, storage=session.storage).close()
    return session.output.result(
        data,
        f"made a registry in {where}",
        "next: samespace train CONFIG, or samespace model register NAME …",
    )
