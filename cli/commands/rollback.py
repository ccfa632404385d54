"""``samespace rollback``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("gallery")
@click.option(
    "--accept-loss", is_flag=True, help="Hide items that the older version cannot search."
)
@click.option("--reason", default="", help="Why, for the audit trail.")
@dry_run_option
@session_options
@pass_session
def rollback(session: Session, gallery: str, accept_loss: bool, reason: str, dry_run: bool) -> int:
    """Put the previous version of GALLERY back in charge.

    Refused if it would hide items that the newer version added, unless the way back was certified
    or you accept the loss.

    \b
    Example:
      samespace rollback shop --dry-run
      samespace rollback shop --reason "latency"
    """
    from cli.changes import report_change

    with session.open() as registry:
        change = registry.rollback(gallery, accept_loss=accept_loss, reason=reason, dry_run=dry_run)
    return report_change(session.output, change, "rolled back")
