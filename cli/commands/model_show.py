"""``samespace model show``."""

from __future__ import annotations

import json

import click

from cli.options import Session, pass_session, session_options
from cli.output import table


@click.command()
@click.argument("version")
@session_options
@pass_session
def show(session: Session, version: str) -> int:
    """Show all that is known of VERSION, such as products@3 or products:champion."""
    with session.open() as registry:
        found = registry.models.get(version)
        others = [v for v in registry.models.list(found.ref.model) if v.ref != found.ref]
        contracts = {v.ref: registry.models.contract(found.ref, v.ref) for v in others}
    declared = {str(ref): str(c) for ref, c in contracts.items() if c is not None}
    facts = {
        "version": str(found.ref),
        "fingerprint": found.fingerprint,
        "provenance": found.provenance.value,
        "dim": found.dim,
        "normalised": found.description.normalised,
        "artifact": found.artifact_path,
        "registered": f"{found.created_at:%Y-%m-%d %H:%M} UTC by {found.created_by}",
        "queries may be compared with": declared,
        "architecture": dict(found.description.architecture),
        "preprocessing": dict(found.description.preprocessing),
        "training": dict(found.training),
    }
    rows = [(name, _text(value)) for name, value in facts.items()]
    return session.output.result(dict(facts), table("", ("", ""), rows))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, indent=1, ensure_ascii=False) if value else "–"
    return "–" if value is None else str(value)
