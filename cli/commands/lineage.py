"""``samespace lineage``."""

from __future__ import annotations

import click

from cli.options import Session, pass_session, session_options
from cli.output import table


@click.command()
@click.argument("name")
@session_options
@pass_session
def lineage(session: Session, name: str) -> int:
    """Show from which versions those of the model line NAME came, and how they compare."""
    with session.open() as registry:
        edges = registry.models.lineage(name)
        versions = [v.ref for v in registry.models.list(name)]
        contracts = {
            (e.child, e.parent): registry.models.contract(e.child, e.parent) for e in edges
        }
    data = [
        {
            "version": str(e.child),
            "parent": str(e.parent),
            "relation": e.relation,
            "contract": str(contracts[e.child, e.parent] or ""),
        }
        for e in edges
    ]
    known = {e.child for e in edges}
    rows = [(str(ref), "–", "", "") for ref in versions if ref not in known]
    rows += [(d["version"], d["parent"], d["relation"], d["contract"]) for d in data]
    shown = table("", ("version", "parent", "relation", "compared by"), sorted(rows, key=str))
    return session.output.result(
        {"model": name, "versions": [str(v) for v in versions], "edges": data}, shown
    )
