"""``samespace certificate show``."""

from __future__ import annotations

import click

from cli.certificates import claim, details
from cli.options import Session, pass_session, session_options


@click.command()
@click.argument("digest")
@session_options
@pass_session
def show(session: Session, digest: str) -> int:
    """Show what the certificate says whose digest begins with DIGEST, and its state.

    \b
    Example:
      samespace certificate show 3f9c2a
    """
    with session.open() as registry:
        found = registry.certificates.state(digest)
    data = {**claim(found), "statement": found.certificate.statement}
    return session.output.result(
        data | {"certificate": found.certificate.to_json()},
        *details(found.certificate),
        f"certificate {found.certificate.digest}: {found.condition}",
    )
