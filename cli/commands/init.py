"""``samespace init``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options


@click.command()
@session_options
@pass_session
def init(session: Session) -> int:
    """Make a new registry.

    \b
    Example:
      samespace init
      samespace init --registry postgresql://host/samespace --storage /srv/samespace
    """
    from registry import Registry

    with Registry.create(session.where, storage=session.storage) as made:
        storage = str(made.storage)
        where = made.name if "://" in session.where else session.where
    return session.output.result(
        {"registry": where, "storage": storage},
        f"made a registry in {where}",
        "next: samespace train CONFIG, or samespace model register NAME …",
    )
