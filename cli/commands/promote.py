"""``samespace promote``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("gallery")
@click.argument("version")
@click.option("--expect", metavar="VERSION", help="Refuse unless this version is in force now.")
@click.option("--keep-writers", is_flag=True, help="Versions that write now may go on writing.")
@click.option("--waive", metavar="REASON", help="Promote without certificates; visible for ever.")
@click.option("--reason", default="", help="Why, for the audit trail.")
@dry_run_option
@session_options
@pass_session
def promote(
    session: Session,
    gallery: str,
    version: str,
    expect: str | None,
    keep_writers: bool,
    waive: str | None,
    reason: str,
    dry_run: bool,
) -> int:
    """Let VERSION embed the queries and the new items of GALLERY.

    Refused unless every other version in the gallery has a live COMPATIBLE certificate. Only
    metadata change; no vector is touched.

    \b
    Example:
      samespace promote shop products@2 --expect products@1
    """
    from cli.changes import report_change
    from registry import PromotionOptions

    options = PromotionOptions(
        expect=expect, keep_writers=keep_writers, waiver=waive, reason=reason, dry_run=dry_run
    )
    with session.open() as registry:
        change = registry.promote(gallery, version, options)
    return report_change(session.output, change, "promoted")
