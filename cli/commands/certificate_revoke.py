"""``samespace certificate revoke``."""

from __future__ import annotations

import click

from cli.options import Session, dry_run_option, pass_session, session_options


@click.command()
@click.argument("digest")
@click.option("--reason", required=True, help="Why; it stays visible for ever.")
@dry_run_option
@session_options
@pass_session
def revoke(session: Session, digest: str, reason: str, dry_run: bool) -> int:
    """Revoke a certificate: nobody is promoted on it any more.

    What was promoted on it goes on serving: roll back, or certify again.

    \b
    Example:
      samespace certificate revoke 3f9c2a --reason "labels were wrong"
    """
    with session.open() as registry:
        found = registry.certificates.revoke(digest, reason, dry_run=dry_run)
        serving = registry.galleries.state(found.gallery).serving
    serves = found.digest in serving.basis.values()
    verb = "would have revoked" if dry_run else "revoked"
    return session.output.result(
        {"digest": found.digest, "gallery": found.gallery, "serves": serves, "dry_run": dry_run},
        f"{verb} certificate {found.digest[:12]}",
        f"{found.gallery!r} still serves on its strength: samespace rollback {found.gallery}"
        if serves
        else "",
    )
