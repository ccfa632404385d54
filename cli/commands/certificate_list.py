"""``samespace certificate list``."""

from __future__ import annotations

import click

from cli.certificates import claim
from cli.options import Session, pass_session, session_options
from cli.output import short, table


@click.command(name="list")
@click.argument("gallery")
@session_options
@pass_session
def list_certificates(session: Session, gallery: str) -> int:
    """List the certificates of GALLERY, each with its verdict and its state.

    States: valid, expired, stale (an input changed), revoked, superseded (by a later one).
    """
    with session.open() as registry:
        claims = [claim(found) for found in registry.certificates.of_gallery(gallery)]
    rows = [
        (
            short(c["digest"]),
            c["query_version"],
            c["gallery_version"],
            c["verdict"],
            c["state"],
            c["reason"],
        )
        for c in claims
    ]
    columns = ("certificate", "queries of", "on vectors of", "verdict", "state", "")
    return session.output.result(
        {"certificates": claims},
        table("", columns, rows) if rows else f"{gallery!r} has no certificate",
    )
