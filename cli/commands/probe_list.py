"""``samespace probe list``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import table
from cli.probes import as_data


@click.command("list")
@session_options
@pass_session
def list_sets(session: Session) -> int:
    """List the registered probe sets, and how many attempts were made on each."""
    with session.open() as registry:
        data = [
            as_data(found)
            | {"n_attempts": len({one.number for one in registry.probes.outcomes(found.name)})}
            for found in registry.probes.list()
        ]
    rows = [
        (
            d["probe_set"],
            d["gallery"],
            d["kind"],
            d["n_queries"],
            d["n_attempts"],
            str(d["registered_at"])[:10],
            d["registered_by"],
        )
        for d in data
    ]
    columns = ("probe set", "gallery", "by", "#queries", "#attempts", "registered", "by whom")
    shown = table("", columns, rows) if rows else "no probe set is registered yet"
    return session.output.result({"probe_sets": data}, shown)
