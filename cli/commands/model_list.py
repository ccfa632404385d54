"""``samespace model list``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import short, table


@click.command("list")
@click.argument("name", required=False)
@session_options
@pass_session
def list_versions(session: Session, name: str | None) -> int:
    """List the versions of the model line NAME, or of all."""
    with session.open() as registry:
        versions = registry.models.list(name)
        names = {version.ref.model for version in versions}
        aliases = {ref: a for n in names for a, ref in registry.models.aliases(n).items()}
    rows = [
        (
            version.ref,
            aliases.get(version.ref, ""),
            version.dim,
            short(version.fingerprint),
            version.training.get("objective", "–"),
            f"{version.created_at:%Y-%m-%d %H:%M}",
            version.created_by,
        )
        for version in versions
    ]
    data = [
        {
            "version": str(v.ref),
            "alias": aliases.get(v.ref),
            "dim": v.dim,
            "fingerprint": v.fingerprint,
            "provenance": v.provenance.value,
            "created_at": v.created_at.isoformat(),
            "created_by": v.created_by,
        }
        for v in versions
    ]
    columns = ("version", "alias", "#dim", "fingerprint", "objective", "registered", "by")
    shown = table("", columns, rows) if rows else "no model is registered yet"
    return session.output.result({"versions": data}, shown)
